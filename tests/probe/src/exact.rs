// SPDX-License-Identifier: MIT OR Apache-2.0
//! Known bytes, read by every method.
//!
//! The pattern: the eight bytes at a physical address that is a multiple of 8 are that
//! address times [`FACTOR`], little endian.

use crate::sys;
use anyhow::{Context, Result, ensure};
use linpmem::{Access, Caching, Device, Width};
use linpmem_guest::Random;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bits of the golden ratio. It is odd, so no two addresses have the same product.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

/// The byte of the pattern at `addr`.
fn byte(addr: u64) -> u8 {
    let word = (addr & !7).wrapping_mul(FACTOR).to_le_bytes();
    let index = usize::try_from(addr & 7).unwrap_or(0);
    word.get(index).copied().unwrap_or(0)
}

fn expected(addr: u64, len: usize) -> Vec<u8> {
    (addr..).take(len).map(byte).collect()
}

/// Reads the pattern at `start` in all modes at random places.
pub fn modes(start: u64, len: u64) -> Result<String> {
    let device = Device::open()?;
    let file = File::open(linpmem::DEFAULT_PATH)?;
    let mut random = Random::new(1);
    let mut checks = 0_u64;
    for _ in 0..2000 {
        for width in WIDTHS {
            let addr = start + random.below(len / width.bytes()) * width.bytes();
            one_load(&device, addr, width)?;
            checks += 1;
        }
        let size = random.below(3 * 4096) + 1;
        let addr = start + random.below(len - size);
        let mut buffer = vec![0x55; usize::try_from(size)?];
        let mut unreadable = Unreadables::new();
        device.read_phys(PhysAddr::new(addr), &mut buffer, &mut unreadable)?;
        ensure!(unreadable.is_empty(), "at {addr:#x}: {unreadable:?}");
        ensure!(
            buffer == expected(addr, buffer.len()),
            "{size} bytes at {addr:#x} by READ differ"
        );
        buffer.fill(0x55);
        file.read_exact_at(&mut buffer, addr)
            .with_context(|| format!("pread of {size} bytes at {addr:#x}"))?;
        ensure!(
            buffer == expected(addr, buffer.len()),
            "{size} bytes at {addr:#x} by pread differ"
        );
        checks += 2;
    }
    let odd = device.load(PhysAddr::new(start + 1), Width::Word);
    ensure!(
        odd.is_err_and(|error| error.errno().get() == libc::EINVAL),
        "an unaligned load must be refused"
    );
    Ok(format!("exact: {checks} reads"))
}

fn one_load(device: &Device, addr: u64, width: Width) -> Result<()> {
    let value = device.load(PhysAddr::new(addr), width)?;
    let mut bytes = [0; 8];
    for (target, source) in bytes
        .iter_mut()
        .zip(expected(addr, usize::try_from(width.bytes())?))
    {
        *target = source;
    }
    let wanted = u64::from_le_bytes(bytes);
    ensure!(
        value == wanted,
        "{} bytes at {addr:#x} are {value:#x}, not {wanted:#x}",
        width.bytes()
    );
    Ok(())
}

/// The pattern in a device's window: refused unless requested, then exact, both cached
/// and uncached.
pub fn device(start: u64, len: u64) -> Result<String> {
    let device = Device::open()?;
    let refused = device.load(PhysAddr::new(start), Width::Dword);
    ensure!(
        refused.is_err_and(|error| error.errno().get() == libc::EACCES),
        "a device's window must be refused without a request for devices"
    );
    let mut random = Random::new(2);
    let mut checks = 0_u64;
    for caching in [Caching::Natural, Caching::Cached, Caching::Uncached] {
        device.set_access(Access {
            device: true,
            caching,
            unmapped: false,
        })?;
        for _ in 0..200 {
            for width in WIDTHS {
                // The window's pattern counts from the window's start.
                let offset = random.below(len / width.bytes()) * width.bytes();
                let value = device.load(PhysAddr::new(start + offset), width)?;
                let wanted = expected(offset, usize::try_from(width.bytes())?);
                let bytes = value.to_le_bytes();
                ensure!(
                    bytes.starts_with(&wanted),
                    "{caching:?} load of {} bytes at offset {offset:#x}: {value:#x}",
                    width.bytes()
                );
                checks += 1;
            }
            let size = random.below(2 * 4096) + 1;
            let offset = random.below(len - size);
            let mut buffer = vec![0; usize::try_from(size)?];
            let mut unreadable = Unreadables::new();
            device.read_phys(PhysAddr::new(start + offset), &mut buffer, &mut unreadable)?;
            ensure!(
                unreadable.is_empty() && buffer == expected(offset, buffer.len()),
                "{caching:?} read of {size} bytes at offset {offset:#x} differs"
            );
            checks += 1;
        }
    }
    Ok(format!("device: {checks} reads"))
}

/// One load of a device's register, as a number.
pub fn load(addr: u64, width: u64) -> Result<String> {
    let device = Device::open()?;
    device.set_access(Access {
        device: true,
        ..Access::default()
    })?;
    let width = Width::from_bytes(u8::try_from(width)?).context("no width")?;
    let value = device.load(PhysAddr::new(addr), width)?;
    Ok(format!("{value:#x}"))
}

/// Eight readers of the pattern for `seconds`, moved from processor to processor all the
/// time: they never read a wrong byte.
pub fn steady(start: u64, len: u64, seconds: u64) -> Result<String> {
    const READERS: usize = 8;
    let device = Device::open()?;
    let bytes = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let processors = std::thread::available_parallelism()?.get();
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let reader = |seed: usize| -> Result<()> {
        let mut random = Random::new(u64::try_from(seed)?);
        let mut turn = seed;
        while !stop.load(Ordering::Relaxed) && Instant::now() < deadline {
            turn += 1;
            sys::run_on(turn % processors)?;
            let size = random.below(256 << 10) + 1;
            let addr = start + random.below(len - size);
            let mut buffer = vec![0; usize::try_from(size)?];
            let mut unreadable = Unreadables::new();
            device.read_phys(PhysAddr::new(addr), &mut buffer, &mut unreadable)?;
            ensure!(unreadable.is_empty(), "at {addr:#x}: {unreadable:?}");
            let wrong = buffer
                .iter()
                .zip(addr..)
                .find(|&(&got, at)| got != byte(at));
            if let Some((got, at)) = wrong {
                stop.store(true, Ordering::Relaxed);
                anyhow::bail!("{got:#04x} at {at:#x}, not {:#04x}", byte(at));
            }
            bytes.fetch_add(size, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..READERS)
            .map(|seed| scope.spawn(move || reader(seed)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
    })?;
    let mib = bytes.load(Ordering::Relaxed) >> 20;
    ensure!(mib > 0, "nothing was read");
    Ok(format!("steady: {mib} MiB by {READERS} readers"))
}
