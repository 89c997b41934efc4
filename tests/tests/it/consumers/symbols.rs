// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volatility 3 with only our symbol file: it finds what the machine's own tools listed.

use super::rows::{self, Row};
use super::{Case, NAME, TOKEN};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::consumers::symbol_file;
use linpmem_testkit::consumers::volatility::column;
use linpmem_testkit::processes::is_fleeting;
use std::collections::BTreeSet;
use std::path::Path;

pub fn examine(case: &Case, row: &Row) -> Result<&'static str> {
    same_processes(case, row)?;
    if row.file != rows::ELF {
        return Ok("the same processes as ps");
    }
    banner(case, row)?;
    arguments(case, row)?;
    memory(case, row)?;
    // Volatility 3 does not support the modules of the newest kernels.
    if case.is_newest() {
        return Ok("banner, the same processes as ps, the planted one's arguments and memory");
    }
    same_modules(case, row)?;
    Ok(
        "banner, the same processes as ps and modules as lsmod, the planted one's arguments and memory",
    )
}

/// Compares the symbol file itself with the kernel's debug symbols.
pub fn compare(case: &Case) -> Result<()> {
    let file = case.symbols.join(super::SYMBOL_FILE);
    let found = symbol_file::compare_with_dwarf(&file, &case.kernel)?;
    println!("{}", found.summary());
    found.require_equal(MUST_AGREE)?;
    let (types, enums, symbols) = (found.types, found.enums, found.symbols);
    ensure!(types.same > 8000 && enums.same > 1000 && symbols.same > 400);
    ensure!(found.addresses.same > 80_000);
    if case.is_newest() {
        return Ok(());
    }
    let Some(folder) = std::env::var_os("LINPMEM_REFERENCE_DATA") else {
        println!("SKIPPED the reference symbol file: LINPMEM_REFERENCE_DATA is not set");
        return Ok(());
    };
    let reference = Path::new(&folder).join("isf/debian-6.12.107-cloud-amd64.json.xz");
    let found = symbol_file::compare_with_reference(&file, &reference, &case.kernel)?;
    println!("{found:?}");
    // Some dozen structs differ between the two versions.
    let (same, all) = (found.types.same, found.types.different.len());
    ensure!(same > 8000 && u64::try_from(all)? * 30 < same);
    ensure!(found.enums.same > 1200 && found.enums.different.len() < 30);
    ensure!(found.base_types.different.is_empty());
    ensure!(found.symbol_types.same > 500 && found.symbol_types.different.len() < 5);
    ensure!(found.addresses.same > 140_000 && found.addresses.different.is_empty());
    ensure!(found.lacks < 20);
    for name in MUST_AGREE {
        ensure!(
            !found.types.different.iter().any(|one| one == name),
            "{name}"
        );
    }
    Ok(())
}

/// Types that Volatility depends on, and that are the same in all versions of 6.12.
const MUST_AGREE: &[&str] = &[
    "cred",
    "dentry",
    "file",
    "files_struct",
    "fs_struct",
    "list_head",
    "module",
    "nsproxy",
    "pid",
    "printk_ringbuffer",
    "qstr",
    "resource",
    "super_block",
    "task_struct",
    "upid",
    "uts_namespace",
    "vfsmount",
    "vm_area_struct",
];

fn run(case: &Case, row: &Row, plugin: &[&str]) -> Result<Vec<serde_json::Value>> {
    let rows = case
        .volatility
        .rows(&case.symbols, &case.path(row), plugin)?;
    ensure!(!rows.is_empty(), "{plugin:?} printed an empty list");
    Ok(rows)
}

/// Processes that existed before and after the acquisition are there. Any others existed
/// before or after, or are fleeting.
fn same_processes(case: &Case, row: &Row) -> Result<()> {
    let found: BTreeSet<_> = run(case, row, &["linux.pslist"])?
        .iter()
        .map(|row| Ok((column(row, "PID").parse()?, column(row, "COMM"))))
        .collect::<Result<_>>()?;
    ensure!(found.len() > 40, "{found:?}");
    let missing: Vec<_> = case.steady.difference(&found).collect();
    ensure!(missing.is_empty(), "{missing:?} not found in {found:?}");
    let more = found.difference(&case.seen);
    let unknown: Vec<_> = more.filter(|(_, name)| !is_fleeting(name)).collect();
    ensure!(unknown.is_empty(), "{unknown:?} never existed");
    Ok(())
}

fn same_modules(case: &Case, row: &Row) -> Result<()> {
    let rows = run(case, row, &["linux.lsmod"])?;
    let found: BTreeSet<_> = rows.iter().map(|row| column(row, "Module Name")).collect();
    assert_eq!(found, case.modules);
    ensure!(found.len() >= 3 && rows.len() == found.len(), "{rows:?}");
    Ok(())
}

fn banner(case: &Case, row: &Row) -> Result<()> {
    let rows = run(case, row, &["banners.Banners"])?;
    let wanted = format!("Linux version {} ", case.kernel.release());
    let is_there = rows
        .iter()
        .any(|row| column(row, "Banner").starts_with(&wanted));
    ensure!(is_there, "{rows:?}");
    Ok(())
}

fn arguments(case: &Case, row: &Row) -> Result<()> {
    let pid = case.planted.to_string();
    let rows = run(case, row, &["linux.psaux", "--pid", &pid])?;
    let shown = rows.iter().map(|row| column(row, "ARGS")).next();
    let wanted = format!("plant {NAME} {TOKEN} --and an argument");
    let shown = shown.context("no arguments")?;
    ensure!(
        shown.trim_end() == wanted,
        "`{shown}` instead of `{wanted}`"
    );
    Ok(())
}

/// Reads through the page tables of the planted process.
fn memory(case: &Case, row: &Row) -> Result<()> {
    let pid = case.planted.to_string();
    let words = ["linux.vmaregexscan", "--pid", &pid, "--pattern", TOKEN];
    let rows = run(case, row, &words)?;
    // The process has 1 MiB of lines with the token.
    ensure!(rows.len() > 20_000, "{} lines with the token", rows.len());
    Ok(())
}
