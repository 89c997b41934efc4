// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast memory can be read, compared with a plain copy of the same size.

use crate::sys::{self, Memory};
use anyhow::{Context, Result};
use linpmem::Device;
use linpmem_core::original::IOCTL_READ_PHYSADDR;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// How many bytes each method reads.
const TOTAL: usize = 128 << 20;
/// Bytes of one bulk call.
const CALL: usize = 1 << 20;
/// Rounds, of which the fastest counts.
const ROUNDS: usize = 3;

/// Lines of `NAME MIB_PER_SECOND`.
pub fn run() -> Result<String> {
    let device = Device::open()?;
    let file = File::open(linpmem::DEFAULT_PATH)?;
    let mut source = Memory::anonymous(TOTAL, 4096, 0)?;
    source.bytes().fill(0x3c);
    let mut target = vec![0_u8; CALL + 64 * 4096];
    // An offset keeps source and target from competing for the same lines of caches and
    // TLBs.
    let target = target
        .get_mut(5 * 4096..5 * 4096 + CALL)
        .context("no room")?;
    let start = 32_u64 << 20;

    let copy = fastest(|| {
        for part in source.bytes().chunks_exact(CALL) {
            target.copy_from_slice(part);
            std::hint::black_box(&mut *target);
        }
        Ok(())
    })?;
    let mut unreadable = Unreadables::new();
    let bulk = fastest(|| {
        for at in (0..TOTAL).step_by(CALL) {
            let addr = PhysAddr::new(start + u64::try_from(at)?);
            device.read_phys(addr, target, &mut unreadable)?;
        }
        Ok(())
    })?;
    let pread = fastest(|| {
        for at in (0..TOTAL).step_by(CALL) {
            file.read_exact_at(target, start + u64::try_from(at)?)?;
        }
        Ok(())
    })?;
    let page = target.get_mut(..4096).context("no room")?;
    let small = fastest(|| {
        for at in (0..TOTAL).step_by(4096) {
            file.read_exact_at(page, start + u64::try_from(at)?)?;
        }
        Ok(())
    })?;
    let address = u64::try_from(page.as_mut_ptr().expose_provenance())?;
    let mut argument = vec![0_u8; 8192];
    let original = fastest(|| {
        for at in (0..TOTAL).step_by(4096) {
            let words = [start + u64::try_from(at)?, 0, address, 4096, 9];
            for (place, word) in argument.chunks_exact_mut(8).zip(words) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            sys::ioctl(&file, IOCTL_READ_PHYSADDR, &mut argument)?;
        }
        Ok(())
    })?;
    Ok(format!(
        "memcpy {copy:.1}\nread_pages {bulk:.1}\npread {pread:.1}\npread_4k {small:.1}\n\
         original_4k {original:.1}"
    ))
}

/// The speed of the fastest round, in MiB/s.
fn fastest(mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        round()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let mib = u32::try_from(TOTAL >> 20)?;
    Ok(f64::from(mib) / best)
}
