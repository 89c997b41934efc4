// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory in the image is the memory that QEMU sees.

use super::{ram_is_right, target};
use crate::sources::serving;
use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_testkit::vm::VmBuilder;
use serde_json::Value;

/// Fills a machine, acquires it, and compares.
fn is_acquired(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<()> {
    let target = target(|machine| configure(machine.memory_mib(512)))?;
    println!("up after {:.1} s", target.vm.boot_time().as_secs_f64());
    println!("{}", target.fill(55)?);
    let acquired = target.acquire(&["--format", "elf", "--no-artifacts"], "out.core")?;
    println!("{}", acquired.output.text());
    // Pages that the map calls partial are no reason for exit code 3.
    let listed = acquired.manifest.unreadable()?;
    ensure!(listed.is_empty(), "unreadable: {listed:?}");
    let acquired = acquired.complete()?;
    assert_eq!(serving(&acquired, "System RAM")?, ["kcore"]);
    ram_is_right(&acquired, 0.7)?;

    // The kernel's own note is the one of this kernel, and says how addresses translate.
    let image = open_image(&acquired.image)?;
    let note = image.machine().vmcoreinfo.clone();
    let note = String::from_utf8(note.context("no VMCOREINFO in the image")?)?;
    let release = target.vm.kernel().release();
    for line in [
        &format!("OSRELEASE={release}\n"),
        "NUMBER(VA_BITS)=",
        "NUMBER(kimage_voffset)=",
        "NUMBER(PHYS_OFFSET)=",
    ] {
        ensure!(note.contains(line), "no {line:?} in VMCOREINFO:\n{note}");
    }
    let arch = acquired.manifest.json.pointer("/machine/arch");
    assert_eq!(arch.and_then(Value::as_str), Some("aarch64"));
    target.end()
}

/// The one that continuous integration runs: 48-bit addresses, a linear map that older
/// kernels place at random.
#[test]
fn ram_is_what_qemu_sees() -> Result<()> {
    is_acquired(|machine| machine)
}

/// Every feature that QEMU emulates: 52-bit addresses, pointer authentication, memory tags.
#[test]
fn every_feature_of_a_processor_is_on() -> Result<()> {
    is_acquired(|machine| machine.cpu("max"))
}
