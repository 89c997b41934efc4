// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random requests in parallel, which the machine must survive.

use crate::sys;
use anyhow::{Context, Result, ensure};
use linpmem::{Access, AddressSpace, Caching, Device, Width};
use linpmem_core::{abi, original};
use linpmem_guest::Random;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

const THREADS: u64 = 4;

/// `count` reads of all kinds and widths at random addresses, aligned and unaligned, by
/// several threads: half of them anywhere in the physical space, and half in the
/// `ranges`. No request asks for devices: a random load from a device may do anything, by
/// the device's own design.
pub fn sweep(count: u64, ranges: &[(u64, u64)]) -> Result<String> {
    let good = AtomicU64::new(0);
    let refused = AtomicU64::new(0);
    let worker = |seed: u64| -> Result<()> {
        let device = Device::open()?;
        let plain = File::open(linpmem::DEFAULT_PATH)?;
        let bits = device.info()?.phys_bits;
        let mut random = Random::new(seed);
        let mut buffer = vec![0; 3 * 4096];
        let mut unreadable = Unreadables::new();
        for turn in 0..count / THREADS {
            if turn % 1024 == 0 {
                device.set_access(Access {
                    device: false,
                    caching: Caching::Natural,
                    unmapped: random.below(2) == 1,
                })?;
            }
            let choice = usize::try_from(random.below(2 * u64::try_from(ranges.len())?.max(1)))?;
            let addr = match ranges.get(choice) {
                Some((start, len)) => start + random.below(*len),
                None => random.number() >> random.below(64).max(u64::from(64 - bits) / 2),
            };
            let read = match random.below(7) {
                0 => {
                    let len = usize::try_from(random.below(3 * 4096) + 1)?;
                    let part = buffer.get_mut(..len).context("no buffer")?;
                    unreadable.clear();
                    match device.read_phys(PhysAddr::new(addr), part, &mut unreadable) {
                        Ok(()) => unreadable.is_empty(),
                        // A read that would pass the last 64-bit address.
                        Err(_) => false,
                    }
                }
                1 => plain
                    .read_at(&mut buffer, addr)
                    .is_ok_and(|bytes| bytes > 0),
                2 => {
                    let virt = random.number() >> 17;
                    let found = device.translate(AddressSpace::PageTable(addr), virt)?;
                    !found.entries.is_empty()
                }
                width => {
                    let bytes = 1_u8 << (width - 3);
                    let width = Width::from_bytes(bytes).context("no width")?;
                    device.load(PhysAddr::new(addr), width).is_ok()
                }
            };
            let counter = if read { &good } else { &refused };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    on_threads(worker)?;
    let (good, refused) = (good.into_inner(), refused.into_inner());
    ensure!(
        good > 0 && refused > 0,
        "{good} read and {refused} refused: both must occur"
    );
    Ok(format!("sweep: {good} read, {refused} refused"))
}

/// `count` ioctls with random structs and numbers, of this ABI, of the original's and of
/// neither. Pointers in them point into a buffer of this program, or nowhere.
pub fn ioctls(count: u64) -> Result<String> {
    const NUMBERS: [u32; 9] = [
        abi::IOCTL_INFO,
        abi::IOCTL_READ,
        abi::IOCTL_SET_ACCESS,
        abi::IOCTL_TRANSLATE,
        abi::IOCTL_PAGE_TABLE,
        abi::IOCTL_LOAD,
        original::IOCTL_READ_PHYSADDR,
        original::IOCTL_VTOP,
        original::IOCTL_QUERY_CR3,
    ];
    let answered = AtomicU64::new(0);
    let worker = |seed: u64| -> Result<()> {
        let device = File::open(linpmem::DEFAULT_PATH)?;
        let mut random = Random::new(seed);
        let mut argument = vec![0_u8; 8192];
        let scratch = vec![0_u8; 1 << 20].leak();
        let target = u64::try_from(scratch.as_mut_ptr().expose_provenance())?;
        for _ in 0..count / THREADS {
            for word in argument.chunks_exact_mut(8).take(20) {
                let value = match random.below(6) {
                    0 => 0,
                    1 => random.number(),
                    2 => random.below(4096),
                    3 => sys::FIRST_RAM + random.below(1 << 30),
                    4 => random.number() >> 20,
                    _ => u64::MAX - random.below(4096),
                };
                word.copy_from_slice(&value.to_le_bytes());
            }
            let number = match usize::try_from(random.below(12))? {
                index if index < NUMBERS.len() => NUMBERS.get(index).copied().unwrap_or(0),
                9 => u32::try_from(random.number() >> 32)?,
                10 => abi::IOCTL_INFO ^ (1 << random.below(32)),
                _ => abi::IOCTL_LOAD ^ (1 << random.below(30)),
            };
            shape(&mut argument, number, &mut random, target);
            if sys::ioctl(&device, number, &mut argument).is_ok() {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    on_threads(worker)?;
    let answered = answered.into_inner();
    ensure!(answered > count / 100, "only {answered} succeeded");
    Ok(format!("ioctls: {answered} of {count} succeeded"))
}

/// Makes most structs plausible in size, and all pointers harmless.
fn shape(argument: &mut [u8], number: u32, random: &mut Random, target: u64) {
    let mut put = |offset: usize, bytes: &[u8]| {
        if let Some(place) = argument.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    // Either an address in the first page, which is never mapped, or the scratch buffer.
    let pointer = match random.below(8) {
        0 => random.below(4096),
        _ => target,
    };
    if number == original::IOCTL_READ_PHYSADDR {
        put(16, &pointer.to_le_bytes());
        let kinds = [1, 2, 4, 8, 9, 9, 9, 3];
        let kind = kinds.get(usize::try_from(random.below(8)).unwrap_or(0));
        put(32, &[kind.copied().unwrap_or(0)]);
        return;
    }
    if random.below(8) != 0 {
        let size = (number >> 16) & 0x3fff;
        put(0, &size.to_le_bytes());
    }
    if abi::without_size(number) == abi::without_size(abi::IOCTL_READ) {
        put(
            4,
            &u32::try_from(random.below(2) * 8)
                .unwrap_or(0)
                .to_le_bytes(),
        );
        put(16, &random.below(1 << 19).to_le_bytes());
        put(24, &pointer.to_le_bytes());
        put(32, &(pointer.saturating_add(1 << 19)).to_le_bytes());
    } else if abi::without_size(number) == abi::without_size(abi::IOCTL_LOAD) {
        // Devices stay out of it, as in the sweep.
        put(
            4,
            &u32::try_from(random.below(2) * 8)
                .unwrap_or(0)
                .to_le_bytes(),
        );
    }
}

fn on_threads(worker: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
    let worker = &worker;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|seed| scope.spawn(move || worker(seed)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
    })
}
