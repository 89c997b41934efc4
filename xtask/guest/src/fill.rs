// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `fill`: occupies memory with random, text-like and zero pages.

use std::fs;
use std::io::Write;
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sys::mman::{MlockAllFlags, mlockall};

use crate::pages::{Noise, Prose};

const PAGE: usize = 4096;
/// Pages of one sort that lie together.
const RUN: usize = 64;

/// `fill PERCENT [SEED]`: that share of the machine's RAM, then stays.
pub fn run(args: &[String]) -> Result<()> {
    let percent: u64 = match args {
        [percent, ..] => percent.parse().context("PERCENT is a number up to 95")?,
        [] => 70,
    };
    ensure!(percent <= 95, "PERCENT is a number up to 95");
    let seed = match args {
        [_, seed, ..] => seed.parse().context("SEED is a number")?,
        _ => 1,
    };
    let ram = from_meminfo("MemTotal:")?;
    mark_free_pages()?;
    let bytes = usize::try_from(ram / 100 * percent)? / PAGE * PAGE;
    let mut memory = vec![0_u8; bytes];
    // Zero pages count only once they are pages of our own.
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).context("locking memory")?;
    let mut noise = Noise::new(seed);
    let prose = Prose::new();
    let [mut random, mut textual, mut zero] = [0_u64; 3];
    for (index, run) in memory.chunks_mut(RUN * PAGE).enumerate() {
        let count = u64::try_from(run.len() / PAGE)?;
        match index % 3 {
            0 => {
                noise.fill(run);
                random += count;
            }
            1 => {
                for (page, bytes) in run.chunks_mut(PAGE).enumerate() {
                    prose.fill(bytes, u64::try_from(index * RUN + page)?);
                }
                textual += count;
            }
            _ => zero += count,
        }
    }
    println!(
        "filled {} of {} MiB: {random} random, {textual} text and {zero} zero pages",
        bytes >> 20,
        ram >> 20
    );
    std::io::stdout().flush()?;
    loop {
        thread::park();
        std::hint::black_box(&memory);
    }
}

/// Leaves a mark in pages that are free now, each its own. A free page that is
/// zero can be used, cleared and freed again, and nobody sees that it ever
/// changed; one with a mark cannot.
fn mark_free_pages() -> Result<()> {
    const LEFT: u64 = 8 << 20;
    const RESERVE: &str = "/proc/sys/vm/min_free_kbytes";
    let reserve = fs::read_to_string(RESERVE).context("the kernel's reserve")?;
    // It grows with the use of huge pages, and nobody may touch it.
    fs::write(RESERVE, "1024").context("the kernel's reserve")?;
    let mut parts = Vec::new();
    let mut mark: u64 = 1;
    while from_meminfo("MemFree:")? > LEFT {
        let mut part = vec![0_u8; 2 << 20];
        for page in part.chunks_mut(PAGE) {
            for (target, byte) in page.iter_mut().zip(mark.to_le_bytes()) {
                *target = byte;
            }
            mark = mark.wrapping_add(0x9e37_79b9_7f4a_7c16);
        }
        parts.push(std::hint::black_box(part));
    }
    drop(parts);
    fs::write(RESERVE, reserve).context("the kernel's reserve")
}

/// An entry of /proc/meminfo, in bytes.
fn from_meminfo(name: &str) -> Result<u64> {
    let info = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let entry = info
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .with_context(|| format!("/proc/meminfo has no {name}"))?;
    Ok(entry.parse::<u64>()? << 10)
}
