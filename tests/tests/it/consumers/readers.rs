// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each reader of images has to find.

use super::rows::{self, Row, Tool};
use super::{Case, NAME, TOKEN, symbols};
use crate::contains::contains;
use anyhow::{Context, Result, bail, ensure};
use linpmem_formats::{ImageReader, open_image};
use linpmem_phys::{PhysAddr, Unreadables};
use linpmem_testkit::consumers::{drgn, leechcore};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;

/// Has `tool` examine the image of `row`, and returns what it found.
pub fn examine(case: &Case, tool: Tool, row: &Row) -> Result<&'static str> {
    match tool {
        Tool::Crash => crash(case, row),
        Tool::Drgn => drgn(case, row),
        Tool::Gdb => gdb(case, row),
        Tool::LeechCore => leechcore(case, row),
        Tool::Libkdumpfile => libkdumpfile(case, row),
        Tool::Makedumpfile => makedumpfile(case, row),
        Tool::Volatility => symbols::examine(case, row),
    }
}

/// The planted process waits forever, which its stack has to show.
fn is_waiting(stack: &str) -> Result<()> {
    contains(stack, &["__schedule", "futex_wait", "do_syscall_64"])
}

fn crash(case: &Case, row: &Row) -> Result<&'static str> {
    let image = case.path(row).display().to_string();
    let (kernel, planted) = (&case.kernel, case.planted);
    let said = if row.file == rows::PADDED {
        // `--kaslr=… -m phys_base=… vmlinux IMAGE@0`
        let line = fs::read_to_string(case.folder.join(rows::COMMAND))?;
        let words: Vec<&str> = line.split(' ').collect();
        let at = words.iter().position(|&word| word == "vmlinux");
        let (options, names) = words.split_at(at.context("no vmlinux")?);
        let image = names.get(1).context("no image")?;
        case.dump_tools.crash(options, kernel, image, planted)?
    } else {
        case.dump_tools.crash(&[], kernel, &image, planted)?
    };
    contains(&said, &[&format!("RELEASE: {}", kernel.release()), NAME])?;
    let stack = said.rsplit("COMMAND: ").next().unwrap_or_default();
    is_waiting(stack)?;
    Ok("release, planted process, its stack")
}

fn drgn(case: &Case, row: &Row) -> Result<&'static str> {
    let image = case.path(row);
    let found = drgn::examine(&image, &case.kernel, NAME, TOKEN, &case.address)?;
    ensure!(found.release == case.kernel.release(), "{found:?}");
    let [planted] = found.planted.as_slice() else {
        bail!("expected one planted process: {found:?}");
    };
    ensure!(planted.token_in_memory, "{planted:?}");
    ensure!(
        planted.cmdline.get(2).is_some_and(|word| word == TOKEN),
        "{planted:?}"
    );
    let frames: Vec<&str> = planted.stack.iter().flatten().map(String::as_str).collect();
    ensure!(frames.len() < 50, "{frames:?}");
    is_waiting(&frames.join(" "))?;
    Ok("release, planted process, its arguments, memory and stack")
}

fn gdb(case: &Case, row: &Row) -> Result<&'static str> {
    let image = case.path(row);
    let said = case
        .dump_tools
        .gdb(&case.kernel, &image, case.kaslr_offset)?;
    let release = format!("\"{}\"", case.kernel.release());
    contains(&said, &["\"swapper/0", &release])?;
    Ok("release, first task")
}

/// The same ranges and bytes as our own reader, and the texts that an examiner would
/// search for.
fn leechcore(case: &Case, row: &Row) -> Result<&'static str> {
    let banner = format!("Linux version {}", case.kernel.release());
    let path = case.path(row);
    let found = leechcore::examine(&path, &[&banner, TOKEN])?;
    assert_eq!(found.found, [banner.as_str(), TOKEN]);
    if row.file == rows::PADDED {
        let end = found.ranges.last().map(|range| range.start + range.size);
        ensure!(end == Some(path.metadata()?.len()), "{found:?}");
        return Ok("its end, banner, planted memory");
    }
    let image = open_image(&path)?;
    // Our ranges, by start.
    let mut ours = BTreeMap::new();
    for stored in image.ranges() {
        ours.insert(stored.range.start().get(), stored.range.len().get());
    }
    for range in &found.ranges {
        ensure!(ours.get(&range.start) == Some(&range.size), "{found:?}");
        ensure!(range.sha256 == sha256(&*image, range)?, "{range:?}");
    }
    assert_eq!(ours.len(), found.ranges.len());
    Ok("the same ranges and bytes, banner, planted memory")
}

/// The SHA-256 of what our reader finds in `range`.
fn sha256(image: &dyn ImageReader, range: &leechcore::Range) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut at = range.start;
    let end = at
        .checked_add(range.size)
        .context("a range beyond the last address")?;
    let mut buf = vec![0; 4 << 20];
    let mut unreadable = Unreadables::new();
    while at < end {
        let len = usize::try_from(end - at)?.min(buf.len());
        let part = buf.get_mut(..len).context("no room")?;
        image.read_phys(PhysAddr::new(at), part, &mut unreadable)?;
        hasher.update(&*part);
        at += u64::try_from(len)?;
    }
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn libkdumpfile(case: &Case, row: &Row) -> Result<&'static str> {
    let said = case.dump_tools.kdumpid(&case.path(row))?;
    let release = case.kernel.release();
    contains(&said, &["Arch: x86_64", &format!("Version: {release}")])?;
    // Read from memory through the page tables.
    contains(&said, &[&format!("Banner: Linux version {release}")])?;
    Ok("release, banner")
}

fn makedumpfile(case: &Case, row: &Row) -> Result<&'static str> {
    let log = case.dump_tools.dmesg(case.kernel.arch(), &case.path(row))?;
    contains(&log, &[&format!("Linux version {}", case.kernel.release())])?;
    ensure!(log.lines().count() > 100, "{log}");
    Ok("kernel's log")
}
