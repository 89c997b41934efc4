// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem` and the libraries behind it, in a machine with known memory.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in helpers of tests, where a panic is just a failure"
)]

mod clients;
mod commands;
pub mod library;
mod original;
pub mod refusals;

use crate::contains::contains;
use crate::machines;
use crate::pattern::{self, PatternFile};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts::Artifacts;
use linpmem_testkit::vm::{GuestCommand, Output, Vm};

/// The module in the guest.
const MODULE: &str = "/tmp/linpmem.ko";

/// A machine with the pattern in reserved memory, `pmem` in its `PATH` and the module at
/// [`MODULE`], not loaded.
fn machine(arch: Arch) -> Result<Vm> {
    let pattern = PatternFile::on(arch)?;
    let vm = machines::small_of(arch, |machine| pattern.load_into(machine, true))?;
    let artifacts = Artifacts::build(vm.kernel())?;
    vm.push(&artifacts.pmem, "/bin/pmem")?;
    vm.push(&artifacts.module, MODULE)?;
    Ok(vm)
}

fn pmem<'vm>(vm: &'vm Vm, arguments: &str) -> GuestCommand<'vm> {
    let words = arguments.split(' ').filter(|word| !word.is_empty());
    let argv: Vec<&str> = ["pmem"].into_iter().chain(words).collect();
    vm.command(&argv)
}

/// What `pmem` prints to stdout. It must succeed, and print nothing to stderr.
fn said(vm: &Vm, arguments: &str) -> Result<Vec<u8>> {
    let output = pmem(vm, arguments).run()?.ok()?;
    ensure!(
        output.stderr.is_empty(),
        "`pmem {arguments}` also prints {:?}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn text(vm: &Vm, arguments: &str) -> Result<String> {
    Ok(String::from_utf8(said(vm, arguments)?)?)
}

/// `pmem` must exit with this code, print each of `words` to stderr, and nothing to
/// stdout.
fn fails(vm: &Vm, arguments: &str, code: i32, words: &[&str]) -> Result<()> {
    let output = pmem(vm, arguments).run()?.exited(code)?;
    refused(&output, words).with_context(|| format!("`pmem {arguments}`"))
}

fn refused(output: &Output, words: &[&str]) -> Result<()> {
    contains(&String::from_utf8_lossy(&output.stderr), words)?;
    ensure!(output.stdout.is_empty(), "stdout is not empty");
    Ok(())
}

/// The pattern's bytes at the physical address `start`.
fn planted(start: u64, len: usize) -> Vec<u8> {
    let (first, skip) = (start & !7, usize::try_from(start % 8).unwrap());
    let words = (first..).step_by(8).take(len / 8 + 2);
    let bytes: Vec<u8> = words.flat_map(pattern::word).collect();
    bytes[skip..skip + len].to_vec()
}

/// Where the machine has the pattern.
fn start(vm: &Vm) -> u64 {
    pattern::start_on(vm.kernel().arch())
}

/// No virtual address of the machine's. On arm64 the processor ignores the highest byte.
fn no_address(vm: &Vm) -> u64 {
    match vm.kernel().arch() {
        Arch::X86_64 => 1 << 63,
        Arch::Aarch64 => 0x0070_0000_0000_0000,
    }
}
