// SPDX-License-Identifier: MIT OR Apache-2.0
//! The original's command line: the same options, output and exit codes.

use crate::args::OriginalArgs;
use anyhow::{Result, bail, ensure};
use linpmem::{Access, AddressSpace, Device, Width};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_phys::PhysAddr;
use linpmem_phys::num::u64_as_usize;
use std::io::Write;

/// The most that the original reads at once.
const PAGE: u64 = 4096;

/// Does what the options say. `--cr3` takes precedence over a translation, and that
/// over a read.
pub fn run(args: &OriginalArgs, stderr: Stderr, out: &mut dyn Write) -> Result<ExitStatus> {
    let say = |text: String| {
        if args.verbose {
            stderr.note(&text);
        }
    };
    let asks = args.cr3 || args.virt_address.is_some() || args.address.is_some();
    ensure!(
        asks,
        "invalid combination of arguments: give --cr3, --virt-address or --address (--help tells \
         more)"
    );
    let device = Device::open()?;
    say(format!(
        "opened {}: {}",
        device.path().display(),
        device.dialect()
    ));
    if args.cr3 {
        let cr3 = device.page_tables(args.pid.unwrap_or(0))?.kernel;
        writeln!(out, "0x{:016x}", cr3.get())?;
    } else if let Some(virt) = args.virt_address {
        let phys = translate(&device, virt, args.pid)?;
        writeln!(out, "0x{:016x}", phys.get())?;
    } else if let (Some(address), Some(mode)) = (args.address, args.mode) {
        let start = PhysAddr::new(address);
        let bytes = match mode.width() {
            Some(width) => load(&device, start, width)?,
            None => buffer(&device, start, args.size.unwrap_or(0))?,
        };
        say(format!("read {} bytes at {start}", bytes.len()));
        out.write_all(&bytes)?;
    }
    Ok(ExitStatus::Complete)
}

fn translate(device: &Device, virt: u64, pid: Option<u32>) -> Result<PhysAddr> {
    // The original's module refuses it, too.
    ensure!(virt != 0, "EINVAL: virtual address 0 cannot be translated");
    let space = pid.map_or(AddressSpace::Caller, AddressSpace::Process);
    match device.translate(space, virt)?.mapped() {
        Some(mapped) => Ok(mapped.phys),
        None => bail!("EIO: the virtual address {virt:#x} is not mapped"),
    }
}

fn load(device: &Device, start: PhysAddr, width: Width) -> Result<Vec<u8>> {
    let value = device.load(start, width)?;
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.truncate(u64_as_usize(width.bytes()));
    Ok(bytes)
}

/// Reads to the end of the page at most, like the original's module.
fn buffer(device: &Device, start: PhysAddr, size: u64) -> Result<Vec<u8>> {
    ensure!(
        (1..=PAGE).contains(&size),
        "EINVAL: a buffer has 1 to {PAGE} bytes (`pmem read` reads more)"
    );
    let len = size.min(PAGE - start.get() % PAGE);
    let mut bytes = vec![0; u64_as_usize(len)];
    let unreadable = device.read_with(Access::default(), start, &mut bytes)?;
    match unreadable.as_slice().first() {
        None => Ok(bytes),
        Some(bad) => bail!("{}: {} cannot be read", bad.errno, bad.range),
    }
}
