// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program copied alone into a machine.

use super::{machine, traces};
use crate::contains::contains;
use crate::pattern::PatternFile;
use crate::sources::{doctor, serving};
use anyhow::{Result, ensure};
use linpmem_testkit::artifacts;
use linpmem_testkit::kernel_files;
use linpmem_testkit::target_machine::{Acquired, TargetMachine};
use linpmem_testkit::vm::Vm;

/// Everything is read, and equals QEMU's view: reserved memory with known content, and the
/// page that is only partly RAM.
#[test]
fn the_dumper_reads_everything_and_leaves_nothing() -> Result<()> {
    let pattern = PatternFile::new()?;
    let vm = machine(|machine| pattern.load(machine.memory_mib(512)))?;
    let target = TargetMachine::with_dumper(vm, &artifacts::dumper()?)?;
    println!("{}", target.fill(50)?);
    let before = traces(&target.vm)?;

    doctor::is_ready_with_the_module(&target)?;
    let args = ["--driver", "fit", "--include-reserved"];
    let acquired = target.acquire(&args, "all.core")?;
    println!("{}", acquired.output.text());
    acquired.compare_elf()?.require(0.7)?;
    registers_alone_are_left_out(&acquired)?;
    ensure!(serving(&acquired, "System RAM")? == ["linpmem"]);
    ensure!(serving(&acquired, "Reserved")? == ["linpmem"]);
    ensure!(acquired.manifest.partial_pages()?.is_empty());
    let image = linpmem_testkit::ground_truth::open_elf(&acquired.image)?;
    crate::pattern::is_exact_in(&image, &acquired.manifest)?;

    ensure!(
        before == traces(&target.vm)?,
        "something is left: {before:?}, {:?}",
        traces(&target.vm)?
    );
    target.end()
}

/// What the firmware of this machine reserves, and are registers: the chipset's configuration
/// and the flash memory. No module reads them unasked.
fn registers_alone_are_left_out(acquired: &Acquired) -> Result<()> {
    let listed = acquired.manifest.unreadable()?;
    let starts: Vec<u64> = listed.iter().map(|range| range.start().get()).collect();
    ensure!(starts == [0xfed1_c000, 0xfffc_0000], "{listed:x?}");
    contains(&acquired.output.text(), &["EACCES"])?;
    ensure!(acquired.output.ended.code == Some(3));
    Ok(())
}

/// `pmem insmod` without a file, and what it says where it cannot.
#[test]
fn pmem_loads_what_it_carries() -> Result<()> {
    let vm = machine(|machine| machine.memory_mib(512).scratch_gib(None))?;
    vm.push(&artifacts::pmem()?, "/bin/pmem")?;
    let before = traces(&vm)?;
    vm.run(&["pmem", "insmod", "allow_device=1"])?.ok()?;
    let info = vm.run(&["pmem", "info"])?.ok()?;
    contains(info.stdout_text()?, &["device-memory"])?;
    let banner = vm.kernel_file("/proc/sys/kernel/osrelease")?;
    println!("{banner}{}", info.stdout_text()?);
    vm.run(&["pmem", "rmmod"])?.ok()?;
    ensure!(before == traces(&vm)?, "something is left: {before:?}");

    says_why_not(&vm)?;
    vm.shutdown()
}

/// What it imports has checksums on the stable kernels. A system that lacks the kernel's file
/// has them in the kernel's own memory, and with the file nothing needs to be unpacked.
#[test]
fn checksums_come_from_the_running_kernel() -> Result<()> {
    let vm = machine(|machine| machine.memory_mib(512).scratch_gib(None))?;
    vm.push(&artifacts::pmem()?, "/bin/pmem")?;
    let release = vm.kernel().release().to_owned();
    vm.run(&["mask", &kernel_files::vmlinuz(&release)])?.ok()?;
    vm.run(&["pmem", "insmod"])?.ok()?;
    vm.run(&["pmem", "rmmod"])?.ok()?;
    vm.shutdown()
}

/// A kernel that takes no modules any more is not asked to.
fn says_why_not(vm: &Vm) -> Result<()> {
    vm.write("/proc/sys/kernel/modules_disabled", "1")?;
    let refused = vm.run(&["pmem", "insmod"])?.exited(1)?;
    contains(
        &String::from_utf8_lossy(&refused.stderr),
        &["modules_disabled"],
    )
}
