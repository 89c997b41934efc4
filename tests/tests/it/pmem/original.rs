// SPDX-License-Identifier: MIT OR Apache-2.0
//! The original's command line: each option, byte for byte.

use super::{fails, no_address, planted, pmem, said, start, text};
use crate::machines::device_address;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::vm::Vm;

const TOKEN: &str = "a line to be found";

pub fn check(vm: &Vm) -> Result<()> {
    loads_and_buffers(vm)?;
    translations(vm)?;
    banner(vm)?;
    usage(vm)
}

/// Raw little-endian bytes and nothing else.
fn loads_and_buffers(vm: &Vm) -> Result<()> {
    let first = start(vm);
    let at = first + 0x40;
    for (mode, len) in [("byte", 1), ("word", 2), ("dword", 4), ("qword", 8)] {
        let all = [
            format!("-a {at:#x} -m {mode}"),
            format!("--mode {mode} --address {at}"),
            // The size of a load is ignored.
            format!("-a {at:#x} -m {mode} -s 77"),
        ];
        for arguments in all {
            ensure!(said(vm, &arguments)? == planted(at, len), "{arguments}");
        }
        if len > 1 {
            fails(vm, &format!("-a {:#x} -m {mode}", at + 1), 1, &["Error: "])?;
        }
    }
    for (start, size, len) in [
        (at, "16", 16),
        (first, "0x1000", 4096),
        // A buffer ends at the end of its page.
        (first + 0xff0, "0x1000", 16),
        (first + 0x1fff, "2", 1),
    ] {
        let arguments = format!("--address {start:#x} -m buffer -s {size}");
        ensure!(said(vm, &arguments)? == planted(start, len), "{arguments}");
    }
    for size in ["0", "4097", "0xffffffffffffffff"] {
        let arguments = format!("-a {first:#x} -m buffer -s {size}");
        fails(vm, &arguments, 1, &["Error: EINVAL"])?;
    }
    // The original printed nothing and exited with 0.
    let device = format!("{:#x}", device_address(vm.kernel().arch()));
    fails(
        vm,
        &format!("-a {device} -m buffer -s 16"),
        1,
        &["Error: EACCES", &device],
    )
}

/// A process's memory, by process id: the physical address, and the bytes there.
fn translations(vm: &Vm) -> Result<()> {
    let mut planted = vm.command(&["plant", "planted", TOKEN]).start()?;
    let line = planted.wait_for("planted process")?;
    let virt = line.rsplit("at ").next().context("no address")?;
    let pid = planted.pid();

    let cr3 = text(vm, &format!("--cr3 -p {pid}"))?;
    is_number(&cr3)?;
    let phys = text(vm, &format!("-v {virt} -p {pid}"))?;
    is_number(&phys)?;
    let phys = phys.trim();
    // Allocations start after a header, so the text does not cross a page.
    let bytes = said(vm, &format!("-a {phys} -m buffer -s {}", TOKEN.len()))?;
    ensure!(bytes == TOKEN.as_bytes(), "{phys} holds {bytes:?}");
    let decimal = u64::from_str_radix(virt.trim_start_matches("0x"), 16)?;
    let again = text(vm, &format!("--pid {pid} --virt-address {decimal}"))?;
    ensure!(again.trim() == phys);

    // CR3 has precedence over a translation, and that over a read.
    let all = format!("-a {:#x} -m byte -v {virt} -p {pid}", start(vm));
    ensure!(text(vm, &format!("{all} --cr3"))? == cr3);
    ensure!(text(vm, &all)?.trim() == phys);

    is_number(&text(vm, "--cr3")?)?;
    fails(vm, "--cr3 -p 2", 1, &["Error: ", "kernel thread"])?;
    fails(vm, "--cr3 -p 999999", 1, &["Error: ", "999999"])?;
    fails(vm, "-v 0", 1, &["Error: EINVAL"])?;
    fails(vm, &format!("-v 0x1000 -p {pid}"), 1, &["Error: EIO"])?;
    fails(vm, &format!("-v {:#x}", no_address(vm)), 1, &["Error: "])?;
    planted.signal(9)?;
    planted.wait().map(drop)
}

/// The original's documented example: the kernel's banner.
fn banner(vm: &Vm) -> Result<()> {
    let symbols = vm.kernel_file("/proc/kallsyms")?;
    let line = symbols
        .lines()
        .find(|line| line.ends_with(" linux_banner"))
        .context("no linux_banner")?;
    let virt = line.split(' ').next().context("no address")?;
    let phys = text(vm, &format!("-v 0x{virt}"))?;
    is_number(&phys)?;
    let bytes = said(vm, &format!("-a {} -m buffer -s 16", phys.trim()))?;
    ensure!(bytes == b"Linux version 7.".as_slice() || bytes.starts_with(b"Linux version "));
    Ok(())
}

fn usage(vm: &Vm) -> Result<()> {
    let first = start(vm);
    for wrong in [
        format!("-a {first:#x}"),
        "-m byte".to_owned(),
        format!("-a {first:#x} -m buffer"),
        format!("-a {first:#x} -m nibble"),
        "-v zzz".to_owned(),
        "-p -1 --cr3".to_owned(),
        "--no-such-option".to_owned(),
    ] {
        fails(vm, &wrong, 2, &[])?;
    }
    for incomplete in ["", "-p 1", "-s 5"] {
        fails(vm, incomplete, 1, &["Error: "])?;
    }
    let verbose = pmem(vm, &format!("--verbose -a {first:#x} -m byte"))
        .run()?
        .ok()?;
    ensure!(verbose.stdout == planted(first, 1), "only on stderr");
    ensure!(!verbose.stderr.is_empty());
    Ok(())
}

/// `0x%016x\n`.
fn is_number(text: &str) -> Result<()> {
    let digits = text
        .strip_prefix("0x")
        .and_then(|text| text.strip_suffix('\n'));
    let right = digits.is_some_and(|digits| {
        digits.len() == 16
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    ensure!(right, "{text:?} is not 0x%016x");
    Ok(())
}
