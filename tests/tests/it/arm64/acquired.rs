// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory in the image is the memory that QEMU sees.

use super::{acquire_ram, target};
use crate::sources::serving;
use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_testkit::kernel::Kernel;
use serde_json::json;

/// Fills a machine, acquires it, and compares. Its processor is QEMU's `max`, or else the
/// one that machines have by default.
fn is_acquired(is_max: bool) -> Result<()> {
    let target = target(|machine| {
        let machine = machine.memory_mib(512);
        match is_max {
            true => machine.cpu("max"),
            false => machine,
        }
    })?;
    println!("up after {:.1} s", target.vm.boot_time().as_secs_f64());
    println!("{}", target.fill(55)?);
    // Pages that the map calls partial are no reason for exit code 3.
    let acquired = acquire_ram(&target, &["--format", "elf", "--no-artifacts"], 0.7)?;
    // Which pages must not be read, is known where RAM begins at 1 GiB as well.
    ensure!(
        !acquired.output.text().contains("kpageflags"),
        "the flags of pages were not found"
    );
    assert_eq!(serving(&acquired, "System RAM")?, ["kcore"]);

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
    let machine = acquired.manifest.json.get("machine");
    let fact = |name: &str| machine.and_then(|machine| machine.get(name)).cloned();
    assert_eq!(fact("architecture"), Some(json!("aarch64")));
    let bits = address_bits(target.vm.kernel(), is_max)?;
    assert_eq!(fact("va_bits"), Some(json!(bits)));
    let kib: u64 = if release.ends_with("-16k") { 16 } else { 4 };
    assert_eq!(fact("page_bytes"), Some(json!(kib << 10)));
    target.end()
}

/// How many bits a virtual address of the kernel has: 52 if it is built for that and the
/// processor is QEMU's `max`.
pub(super) fn address_bits(kernel: &Kernel, is_max: bool) -> Result<u32> {
    let built_for_52 = kernel.is_configured("CONFIG_ARM64_VA_BITS=52")?;
    Ok(match (built_for_52, is_max) {
        (true, true) => 52,
        // One level of page tables less.
        (true, false) if kernel.release().ends_with("-16k") => 47,
        _ => 48,
    })
}

/// The one that continuous integration runs: 48-bit addresses, a linear map that older
/// kernels place at random.
#[test]
fn ram_is_what_qemu_sees() -> Result<()> {
    is_acquired(false)
}

/// Every feature that QEMU emulates: 52-bit addresses, pointer authentication, memory tags.
#[test]
fn every_feature_of_a_processor_is_on() -> Result<()> {
    is_acquired(true)
}
