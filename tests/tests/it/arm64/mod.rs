// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions of arm64 machines, whose dumper is cross-built: all that differs from
//! x86-64.

mod acquired;
mod commands;
mod emulated;
mod image;
mod module;
mod no_prebuilt;
mod readers;
mod refused;
mod reserved;

use crate::machines;
use anyhow::{Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::ground_truth::open_elf;
use linpmem_testkit::kernel::KernelPackage;
use linpmem_testkit::target_machine::{Acquired, TargetMachine};
use linpmem_testkit::vm::VmBuilder;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// `e_machine` of an ELF file for arm64 (elf.h).
const EM_AARCH64: u16 = 183;

/// Boots a machine that `configure` has changed, on the chosen or else the newest kernel for
/// arm64, with the dumper in its `PATH`.
fn target(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<TargetMachine> {
    machines::without_module(&KernelPackage::newest_of(Arch::Aarch64), configure)
}

/// Acquires all of RAM without a page missing, and requires that the image is right. If more
/// pages than usual changed and changed back, as in a busy moment, it has to be right at the
/// second time.
fn acquire_ram(target: &TargetMachine, args: &[&str], share: f64) -> Result<Acquired> {
    let acquire = |name: &str| -> Result<Acquired> {
        let acquired = target.acquire(args, name)?;
        println!("{}", acquired.output.text());
        let listed = acquired.manifest.unreadable()?;
        ensure!(listed.is_empty(), "unreadable: {listed:?}");
        acquired.complete()
    };
    let mut acquired = acquire("ram.core")?;
    if acquired.compare_elf()?.is_restless() {
        println!("more pages than usual changed for a moment: trying again");
        acquired = acquire("again.core")?;
    }
    ram_is_right(&acquired, share)?;
    Ok(acquired)
}

/// Requires that the image is an ELF core of an arm64 machine with all of its RAM, and that
/// it is the memory that QEMU saw in at least this share of the pages.
fn ram_is_right(acquired: &Acquired, share: f64) -> Result<()> {
    let found = acquired.compare_elf()?;
    println!("{found}");
    found.require(share)?;
    let mut machine = [0; 2];
    File::open(&acquired.image)?.read_exact_at(&mut machine, 18)?;
    ensure!(
        u16::from_le_bytes(machine) == EM_AARCH64,
        "the image is one of another architecture: e_machine {}",
        u16::from_le_bytes(machine)
    );
    // No page is missing, and there is nothing but RAM.
    let ram = acquired.ram.regions().iter();
    let ram: u64 = ram.map(|region| region.range.len().pages()).sum();
    let pieces = open_elf(&acquired.image)?;
    let stored = pieces.pieces().iter();
    let stored: u64 = stored.map(|piece| piece.range.len().pages()).sum();
    ensure!(stored == ram, "{stored} pages are stored of {ram}");
    Ok(())
}
