// SPDX-License-Identifier: MIT OR Apache-2.0
//! The original's ABI, as its clients use it.

use crate::sys::{self, Memory};
use anyhow::{Context, Result, ensure};
use linpmem_core::original::{IOCTL_QUERY_CR3, IOCTL_READ_PHYSADDR, IOCTL_VTOP};
use std::fs::{File, OpenOptions};
use std::io;

/// One of the original's structs, as words of 8 bytes.
struct Words(Vec<u8>);

impl Words {
    fn new(words: &[u64]) -> Self {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(8192, 0);
        Self(bytes)
    }

    fn word(&self, index: usize) -> u64 {
        let bytes = self.0.get(index * 8..index * 8 + 8);
        bytes.map_or(0, |bytes| {
            bytes
                .iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        })
    }

    fn call(&mut self, device: &File, number: u32) -> io::Result<i32> {
        sys::ioctl(device, number, &mut self.0)
    }
}

/// Every documented result. `pattern` is the address of the known pattern.
pub fn run(pattern: u64) -> Result<String> {
    // pmem opens the device for reading, the original's demo for writing.
    let _demo = OpenOptions::new().write(true).open(linpmem::DEFAULT_PATH)?;
    let device = &File::open(linpmem::DEFAULT_PATH)?;
    reads(device, pattern)?;
    buffers(device, pattern)?;
    let unknown = sys::ioctl(device, 0xc010_6164, &mut vec![0; 8192]);
    fails(unknown, libc::ENOTTY, "the number that was never used")?;

    translates()?;
    Ok("original: all answers as documented".to_owned())
}

/// Page tables and translations alone, which need no known pattern.
pub fn translates() -> Result<String> {
    let device = &File::open(linpmem::DEFAULT_PATH)?;
    let mut memory = Memory::anonymous(3 * 4096, 4096, 0)?;
    memory.bytes().fill(0x31);
    let cr3 = cr3(device)?;
    translations(device, &memory, cr3)?;
    Ok("original: translations as documented".to_owned())
}

fn reads(device: &File, pattern: u64) -> Result<()> {
    let word = pattern.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for width in [1_u64, 2, 4, 8] {
        let mut transfer = Words::new(&[pattern, 0, 0, 0, width]);
        ensure!(transfer.call(device, IOCTL_READ_PHYSADDR)? == 0);
        let mask = u64::MAX >> (64 - width * 8);
        ensure!(transfer.word(1) == word & mask, "{width} bytes");
        if width > 1 {
            let mut odd = Words::new(&[pattern + 1, 0, 0, 0, width]);
            let result = odd.call(device, IOCTL_READ_PHYSADDR);
            fails(result, libc::EIO, "a load that is not aligned")?;
        }
    }
    let mut unknown = Words::new(&[pattern, 0, 0, 0, 3]);
    let result = unknown.call(device, IOCTL_READ_PHYSADDR);
    fails(result, libc::EINVAL, "access type 3")
}

fn buffers(device: &File, pattern: u64) -> Result<()> {
    let mut memory = Memory::anonymous(8192, 4096, 0)?;
    let at = memory.address();
    let ask = |addr, buffer, size| {
        let mut transfer = Words::new(&[addr, 0, buffer, size, 9]);
        transfer
            .call(device, IOCTL_READ_PHYSADDR)
            .map(|_| transfer.word(3))
    };
    ensure!(ask(pattern, at, 4096)? == 4096);
    ensure!(
        ask(pattern + 4000, at, 4096)? == 96,
        "cut at the page's end"
    );
    for (buffer, size) in [(at, 0), (at, 4097), (0, 16)] {
        fails(ask(pattern, buffer, size), libc::EINVAL, "a bad buffer")?;
    }
    fails(ask(pattern, 8, 16), libc::EFAULT, "a buffer at address 8")?;
    // The original returned success with size 0: a silent empty read.
    fails(ask(sys::DEVICE, at, 16), libc::EACCES, "a device")?;
    fails(ask(1 << 60, at, 16), libc::ENXIO, "an address beyond all")?;
    let first = memory.bytes().first().copied();
    ensure!(first.is_some());
    Ok(())
}

fn cr3(device: &File) -> Result<u64> {
    let mut own = Words::new(&[0, 0]);
    ensure!(own.call(device, IOCTL_QUERY_CR3)? == 0);
    let mut by_pid = Words::new(&[u64::from(std::process::id()), 0]);
    ensure!(by_pid.call(device, IOCTL_QUERY_CR3)? == 0);
    let cr3 = own.word(1);
    ensure!(cr3 == by_pid.word(1) && cr3 % sys::TABLE_ALIGNMENT == 0 && cr3 != 0);
    for nobody in [2, 999_999, u64::MAX] {
        let result = Words::new(&[nobody, 0]).call(device, IOCTL_QUERY_CR3);
        fails(result, libc::ESRCH, "a kernel thread or nobody")?;
    }
    Ok(cr3)
}

fn translations(device: &File, memory: &Memory, cr3: u64) -> Result<()> {
    let virt = memory.address() + 17;
    let mut phys = Vec::new();
    // The original mistook the flags in a CR3 for a part of the address.
    for root in [0, cr3, cr3 | 0x18] {
        let mut vtop = Words::new(&[virt, root, 0, 0]);
        ensure!(vtop.call(device, IOCTL_VTOP)? == 0);
        ensure!(vtop.word(3) >> 63 == 1, "the entry is not a kernel address");
        phys.push(vtop.word(2));
    }
    let first = phys.first().copied().context("no answer")?;
    ensure!(first != 0 && phys.iter().all(|&found| found == first));
    let mut transfer = Words::new(&[first, 0, 0, 0, 1]);
    transfer.call(device, IOCTL_READ_PHYSADDR)?;
    ensure!(transfer.word(1) == 0x31, "the byte is not there");

    let absent = Memory::anonymous(4096, 4096, 0)?;
    let mut vtop = Words::new(&[absent.address(), 0, 7, 7]);
    fails(vtop.call(device, IOCTL_VTOP), libc::EIO, "an absent page")?;
    ensure!(
        vtop.word(2) == 0 && vtop.word(3) == 0,
        "EIO must come with zeros"
    );
    let null = Words::new(&[0, 0, 0, 0]).call(device, IOCTL_VTOP);
    fails(null, libc::EINVAL, "address 0")
}

fn fails<T: std::fmt::Debug>(result: io::Result<T>, errno: i32, what: &str) -> Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        other => anyhow::bail!("{what} must be errno {errno}, not {other:?}"),
    }
}
