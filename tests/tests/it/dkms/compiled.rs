// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel whose headers have Rust's metadata, and that the module is not fitted to: the build
//! step compiles it. It runs without DKMS, which starts it in the same way.

use crate::contains::contains;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use linpmem_testkit::kernel::Kernel;
use linpmem_testkit::modinfo;
use linpmem_testkit::vm::Vm;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Copies the package's source to `folder`, and starts the build step there for the kernel
/// `release` with the headers in `headers`. Returns whether it succeeded, and what it printed.
fn build(folder: &Path, release: &str, headers: &Path) -> Result<(bool, String)> {
    let source = artifacts::dkms()?.join("root/usr/src");
    let source = fs::read_dir(source)?.next().context("no source")??.path();
    let work = folder.join("work");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&source)
        .arg(&work)
        .status()?;
    ensure!(copied.success(), "cp failed");
    let tree = DebianTree::open(&Cache::open()?)?;
    let output = tree
        .command("sh", &[])
        .env("WORKDIR", &work)
        .args(["./build.sh", release, Arch::X86_64.name()])
        .arg(headers)
        .output()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    println!("{text}");
    Ok((output.status.success(), text))
}

/// That tree has no `linpmem-fit`.
#[test]
fn the_module_is_compiled_where_the_headers_have_rust() -> Result<()> {
    let cache = Cache::open()?;
    let kernel = Kernel::default(&cache)?;
    let folder = tempfile::tempdir()?;
    let release = kernel.release();
    let (success, text) = build(folder.path(), release, &cache.kdir(release))?;
    ensure!(success, "{text}");
    contains(
        &text,
        &["not fitted to", &format!("compiled for {release}")],
    )?;
    let module = folder.path().join("work/linpmem.ko");
    let vermagic = modinfo::values(&fs::read(&module)?, "vermagic")?;
    ensure!(vermagic.iter().all(|text| text.starts_with(release)) && vermagic.len() == 1);

    let vm = Vm::builder(&kernel)
        .memory_mib(512)
        .scratch_gib(None)
        .boot()?;
    vm.push(&artifacts::pmem()?, "/bin/pmem")?;
    vm.insmod(&module, "")?;
    let start = vm
        .system_ram()?
        .regions()
        .first()
        .map(|region| region.range);
    let start = start.context("no System RAM")?.start().get();
    let read = vm
        .run(&["pmem", "read", &format!("{start:#x}+4096")])?
        .ok()?;
    ensure!(read.stdout.len() == 4096, "{} bytes", read.stdout.len());
    vm.shutdown()
}

/// A module by another compiler would not load, or crash the kernel.
#[test]
fn another_compiler_than_the_kernels_is_not_used() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let headers = folder.path().join("headers");
    fs::create_dir_all(headers.join("rust"))?;
    fs::write(headers.join("rust/libkernel.rmeta"), "")?;
    let config = "CONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"rustc 1.31.0 (abc 2018-12-06)\"\n";
    fs::write(headers.join(".config"), config)?;
    let (success, text) = build(folder.path(), "6.99.0-other", &headers)?;
    ensure!(!success, "it succeeded");
    contains(
        &text,
        &["rustc 1.31.0 (abc 2018-12-06)", "there will be no module"],
    )?;
    let work = folder.path().join("work");
    let modules: Vec<_> = fs::read_dir(work)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains(".ko"))
        .collect();
    ensure!(modules.is_empty(), "{modules:?}");
    Ok(())
}
