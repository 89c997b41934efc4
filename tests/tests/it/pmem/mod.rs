// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem`, and the libraries behind it, in a machine with known memory.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in helpers of tests, where a panic is a failure like any other"
)]

mod clients;
mod commands;
mod library;
mod original;
mod refusals;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::artifacts::Artifacts;
use xtask::vm::{GuestCommand, Output, Vm, VmBuilder};

use crate::pattern;

/// The module in the guest.
const MODULE: &str = "/tmp/linpmem.ko";

/// A machine with the pattern in reserved memory, `pmem` in its `PATH` and the
/// module at [`MODULE`], not loaded.
fn machine(shape: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<(Vm, TempDir)> {
    let kernel = crate::kernel()?;
    let folder = tempfile::tempdir()?;
    let small = Vm::builder(&kernel).memory_mib(512).scratch_gib(None);
    let vm = shape(pattern::planted(small, folder.path())?).boot()?;
    let artifacts = Artifacts::build(&kernel)?;
    vm.push(&artifacts.pmem, "/bin/pmem")?;
    vm.push(&artifacts.module, MODULE)?;
    Ok((vm, folder))
}

fn pmem<'vm>(vm: &'vm Vm, arguments: &str) -> GuestCommand<'vm> {
    let words = arguments.split(' ').filter(|word| !word.is_empty());
    let argv: Vec<&str> = ["pmem"].into_iter().chain(words).collect();
    vm.command(&argv)
}

/// What `pmem` writes to stdout, where it must end with 0 and say nothing else.
fn said(vm: &Vm, arguments: &str) -> Result<Vec<u8>> {
    let output = pmem(vm, arguments).run()?.ok()?;
    ensure!(
        output.stderr.is_empty(),
        "`pmem {arguments}` also says {:?}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn text(vm: &Vm, arguments: &str) -> Result<String> {
    Ok(String::from_utf8(said(vm, arguments)?)?)
}

/// `pmem` must end with this code, say each of `words` on stderr, and nothing on
/// stdout.
fn fails(vm: &Vm, arguments: &str, code: i32, words: &[&str]) -> Result<()> {
    let output = pmem(vm, arguments).run()?.exited(code)?;
    refused(&output, words).with_context(|| format!("`pmem {arguments}`"))
}

fn refused(output: &Output, words: &[&str]) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
    ensure!(missing.is_empty(), "{missing:?} is not in: {said}");
    ensure!(output.stdout.is_empty(), "stdout is not empty");
    Ok(())
}

/// The pattern's bytes at physical address `start`.
fn planted(start: u64, len: usize) -> Vec<u8> {
    let offset = usize::try_from(start - pattern::START).unwrap();
    pattern::bytes()[offset..offset + len].to_vec()
}

/// A file of the kernel's, whose length is not what its size says.
fn file(vm: &Vm, path: &str) -> Result<String> {
    let output = vm.run(&["cat", path])?.ok()?;
    Ok(output.stdout_text()?.to_owned())
}
