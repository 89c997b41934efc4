// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of every kind with known content, read in every mode.

use super::{ask, machine, probe, window};
use crate::machines::device_address;
use crate::pattern::{self, PatternFile};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use std::fs;

#[test]
fn a_reserved_range_is_exact_in_every_mode_and_never_wrong() -> Result<()> {
    is_exact(Arch::X86_64)
}

/// On arm64 the kernel has the range in its linear map, and calls it System RAM.
pub fn is_exact(arch: Arch) -> Result<()> {
    let pattern = PatternFile::on(arch)?;
    let vm = machine(arch, |machine| pattern.load_into(machine, true), "")?;
    let (start, len) = (pattern::start_on(arch), pattern::LEN);
    // Two processes at the same time.
    let exact = format!("exact {start:#x} {len:#x}");
    let other = probe(&vm, &exact).start()?;
    ask(&vm, &exact)?;
    other.wait()?.ok()?;
    ask(&vm, &format!("original {start:#x}"))?;
    let seconds = super::storm::seconds()?;
    ask(&vm, &format!("steady {start:#x} {len:#x} {seconds}"))?;
    vm.shutdown()
}

#[test]
fn device_registers_are_loaded_with_the_requested_width() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shared = folder.path().join("shared");
    fs::write(&shared, pattern::counted(1 << 20))?;
    let backend = format!(
        "memory-backend-file,id=shared,share=on,size=1M,mem-path={}",
        shared.display()
    );
    let vm = machine(
        Arch::X86_64,
        |machine| {
            machine
                .device("edu")
                .qemu_arg("-object")
                .qemu_arg(&backend)
                .device("ivshmem-plain,memdev=shared")
        },
        "allow_device=1",
    )?;

    // The shared memory is the third window of QEMU's ivshmem.
    let (start, len) = window(&vm, "0x1af4", "0x1110", 2)?;
    ensure!(len == 1 << 20, "the window has {len} bytes");
    ask(&vm, &format!("device {start:#x} {len:#x}"))?;

    // QEMU's edu only supports loads of four bytes (docs/specs/edu.rst).
    let (registers, _) = window(&vm, "0x1234", "0x11e8", 0)?;
    ensure!(ask(&vm, &format!("load {registers:#x} 4"))? == "0x10000ed");
    for (width, format) in [(1, "xb"), (2, "xh"), (8, "xg")] {
        let said = ask(&vm, &format!("load {registers:#x} {width}"))?;
        let seen = vm.monitor(&format!("xp /1{format} {registers:#x}"))?;
        if seen.contains("Cannot access memory") {
            // The device refuses that width. A module that loaded four bytes and
            // truncated them would return the register here.
            ensure!(
                !said.ends_with("ed"),
                "a load of {width} bytes returned a part of the register: {said}"
            );
            continue;
        }
        let value = seen.rsplit_once("0x").map_or("", |(_, digits)| digits);
        let value = u64::from_str_radix(value.trim(), 16)
            .with_context(|| format!("QEMU printed {seen:?}"))?;
        ensure!(
            said == format!("{value:#x}"),
            "{width} bytes: {said}, but QEMU reads {value:#x}"
        );
    }
    vm.shutdown()
}

#[test]
fn devices_are_refused_unless_the_module_permits_them() -> Result<()> {
    refuses_devices(Arch::X86_64)
}

pub fn refuses_devices(arch: Arch) -> Result<()> {
    let vm = machine(arch, |machine| machine.device("edu"), "")?;
    let (registers, _) = window(&vm, "0x1234", "0x11e8", 0)?;
    ensure!(ask(&vm, &format!("errno {registers:#x} 0"))? == "EACCES");
    let device = format!("errno {:#x} 0", device_address(arch));
    ensure!(ask(&vm, &device)? == "EACCES");
    let refused = probe(&vm, &format!("load {registers:#x} 4"))
        .run()?
        .exited(1)?;
    let said = refused.text();
    let reason = match arch {
        Arch::X86_64 => "allow_device=1",
        Arch::Aarch64 => "on arm64 the module reads no device memory",
    };
    ensure!(said.contains(reason), "{said}");
    vm.shutdown()
}
