// SPDX-License-Identifier: MIT OR Apache-2.0
//! There is no prebuilt module for arm64: whatever asks for one says what to do instead, and
//! changes nothing.

use super::{acquire_ram, target};
use crate::contains::contains;
use crate::sources::serving;
use anyhow::{Result, ensure};
use linpmem_testkit::arch::Arch::Aarch64;
use linpmem_testkit::artifacts;
use linpmem_testkit::vm::guest;

/// What all of them say.
const REFUSAL: [&str; 3] = [
    "this machine is aarch64, and the prebuilt module is for x86-64",
    "build linpmem.ko for it",
    "read memory without the module (--source kcore)",
];

#[test]
fn whoever_asks_for_the_prebuilt_module_is_told_what_to_do() -> Result<()> {
    let target = target(|machine| machine.memory_mib(256))?;
    let vm = &target.vm;
    let dump = ["--driver", "fit", "--no-artifacts"];
    let refused = target.dump(&dump, "out.core")?.exited(1)?;
    println!("{}", refused.text());
    contains(&refused.text(), &REFUSAL)?;
    ensure!(
        vm.read("/scratch/out.core").is_err(),
        "an image was left behind"
    );

    vm.push(&artifacts::program("pmem", Aarch64)?, "/bin/pmem")?;
    let refused = vm.run(&["pmem", "insmod"])?.exited(1)?;
    println!("{}", refused.text());
    contains(&refused.text(), &REFUSAL)?;

    let fit = guest::build_program_for(Aarch64, "linpmem-fit-cli", "linpmem-fit")?;
    vm.push(&fit, "/bin/linpmem-fit")?;
    for arguments in [&["linpmem-fit"][..], &["linpmem-fit", "-o", "/tmp/out.ko"]] {
        let refused = vm.run(arguments)?.exited(1)?;
        println!("{}", refused.text());
        contains(&refused.text(), &REFUSAL)?;
    }
    ensure!(vm.read("/tmp/out.ko").is_err(), "a module was written");
    // Another machine's kernel needs the module of an x86-64 machine.
    let other = ["linpmem-fit", "--vmlinuz", "/bin/pmem"];
    let refused = vm.run(&other)?.exited(1)?;
    contains(
        &refused.text(),
        &["carries no prebuilt module", "--object FILE"],
    )?;
    ensure!(!vm.kernel_file("/proc/modules")?.contains("linpmem "));
    target.end()
}

/// `auto` takes a file next to the program, and nothing else.
#[test]
fn auto_reads_without_a_module() -> Result<()> {
    let target = target(|machine| machine.memory_mib(512))?;
    println!("{}", target.fill(55)?);
    let args = ["--driver", "auto", "--no-artifacts"];
    let acquired = acquire_ram(&target, &args, 0.7)?;
    let said = acquired.output.text();
    ensure!(!said.contains("x86-64"), "fitting was tried");
    assert_eq!(serving(&acquired, "System RAM")?, ["kcore"]);
    target.end()
}
