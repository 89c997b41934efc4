// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of every kind with known content, in every mode.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{ask, machine, window};
use crate::pattern;

#[test]
fn a_reserved_range_is_exact_in_every_mode_and_never_wrong() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut planted = None;
    let vm = machine(
        |machine| match pattern::planted(machine.clone(), folder.path()) {
            Ok(with_pattern) => with_pattern,
            Err(error) => {
                planted = Some(error);
                machine
            }
        },
        "",
    )?;
    ensure!(planted.is_none(), "{planted:?}");
    let (start, len) = (pattern::START, pattern::LEN);
    ask(&vm, &format!("exact {start:#x} {len:#x}"))?;
    ask(&vm, &format!("original {start:#x}"))?;
    let seconds = super::storm::seconds();
    ask(&vm, &format!("steady {start:#x} {len:#x} {seconds}"))?;
    vm.shutdown()
}

#[test]
fn devices_answer_as_they_are_asked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shared = folder.path().join("shared");
    fs::write(&shared, pattern::counted(1 << 20))?;
    let backend = format!(
        "memory-backend-file,id=shared,share=on,size=1M,mem-path={}",
        shared.display()
    );
    let vm = machine(
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

    // QEMU's edu answers loads of four bytes only (docs/specs/edu.rst).
    let (registers, _) = window(&vm, "0x1234", "0x11e8", 0)?;
    ensure!(ask(&vm, &format!("load {registers:#x} 4"))? == "0x10000ed");
    for (width, format) in [(1, "xb"), (2, "xh"), (8, "xg")] {
        let said = ask(&vm, &format!("load {registers:#x} {width}"))?;
        let seen = vm.monitor(&format!("xp /1{format} {registers:#x}"))?;
        if seen.contains("Cannot access memory") {
            // The device refuses that width. A module that loaded four bytes and
            // cut them would show the register here.
            ensure!(
                !said.ends_with("ed"),
                "{width} bytes gave a part of the register: {said}"
            );
            continue;
        }
        let value = seen.rsplit_once("0x").map_or("", |(_, digits)| digits);
        let value =
            u64::from_str_radix(value.trim(), 16).with_context(|| format!("QEMU says {seen:?}"))?;
        ensure!(
            said == format!("{value:#x}"),
            "{width} bytes: {said}, and for QEMU {value:#x}"
        );
    }
    vm.shutdown()
}

#[test]
fn devices_stay_out_of_reach_unless_the_module_permits_them() -> Result<()> {
    let vm = machine(|machine| machine.device("edu"), "")?;
    let (registers, _) = window(&vm, "0x1234", "0x11e8", 0)?;
    ensure!(ask(&vm, &format!("errno {registers:#x} 0"))? == "EACCES");
    ensure!(ask(&vm, "errno 0xb8000 0")? == "EACCES");
    let refused = super::probe(&vm, &format!("load {registers:#x} 4"))
        .run()?
        .exited(1)?;
    let said = refused.text();
    ensure!(said.contains("allow_device=1"), "{said}");
    vm.shutdown()
}
