// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `fill`: occupies memory with random, text-like, code and zero pages, and
//! records where they are.

use anyhow::{Context, Result, ensure};
use linpmem_guest::Random;
use linpmem_guest::content::{Code, Prose};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::{SysconfVar, sysconf};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// A page of content.
const PAGE: usize = 4096;
/// Consecutive pages of one kind.
const RUN: usize = 64;
/// Where the filled pages are: a range of physical addresses a line, `1000-1fff`.
const PLACES: &str = "/tmp/filled";

/// `fill PERCENT [SEED]`: fills that share of the machine's RAM, then keeps running.
/// From then on nothing changes or moves these pages.
pub fn run(args: &[String]) -> Result<()> {
    let percent: u64 = match args {
        [percent, ..] => percent
            .parse()
            .context("PERCENT must be a number up to 95")?,
        [] => 70,
    };
    ensure!(percent <= 95, "PERCENT must be a number up to 95");
    let seed = match args {
        [_, seed, ..] => seed.parse().context("SEED must be a number")?,
        _ => 1,
    };
    let ram = from_meminfo("MemTotal:")?;
    mark_free_pages()?;
    let bytes = usize::try_from(ram / 100 * percent)? / PAGE * PAGE;
    let mut memory = vec![0_u8; bytes];
    // Until memory is locked, its zero pages are all the kernel's one zero page.
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).context("locking memory")?;
    let mut random = Random::new(seed);
    let prose = Prose::new();
    let code = Code::own().context("reading this program")?;
    let [
        mut random_pages,
        mut text_pages,
        mut code_pages,
        mut zero_pages,
    ] = [0_u64; 4];
    for (index, run) in memory.chunks_mut(RUN * PAGE).enumerate() {
        let count = u64::try_from(run.len() / PAGE)?;
        let first = u64::try_from(index * RUN)?;
        match index % 4 {
            0 => {
                random.fill(run);
                random_pages += count;
            }
            1 => {
                for (number, page) in (first..).zip(run.chunks_mut(PAGE)) {
                    prose.fill(page, number);
                }
                text_pages += count;
            }
            2 => {
                for (number, page) in (first..).zip(run.chunks_mut(PAGE)) {
                    code.fill(page, number);
                }
                code_pages += count;
            }
            _ => zero_pages += count,
        }
    }
    hold_still()?;
    fs::write(PLACES, places(&memory)?).with_context(|| format!("writing {PLACES}"))?;
    println!(
        "filled {} of {} MiB: {random_pages} random, {text_pages} text, {code_pages} code and \
         {zero_pages} zero pages",
        bytes >> 20,
        ram >> 20
    );
    std::io::stdout().flush()?;
    loop {
        thread::park();
        std::hint::black_box(&memory);
    }
}

/// Keeps the kernel from moving locked pages elsewhere.
fn hold_still() -> Result<()> {
    let compaction = "/proc/sys/vm/compact_unevictable_allowed";
    fs::write(compaction, "0").with_context(|| format!("writing {compaction}"))?;
    let huge_pages = "/sys/kernel/mm/transparent_hugepage/enabled";
    match fs::write(huge_pages, "never") {
        // Kernels with PREEMPT_RT have none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.with_context(|| format!("writing {huge_pages}")),
    }
}

/// The bytes of the kernel's pages: 4, 16 or 64 KiB.
fn kernel_page() -> Result<usize> {
    let page = sysconf(SysconfVar::PAGE_SIZE).context("the size of a page")?;
    Ok(usize::try_from(
        page.context("the kernel has no size of a page")?,
    )?)
}

/// The physical ranges of `memory`, in the order of its pages, from
/// /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst: 8 bytes a page,
/// bit 63 present, bits 0 to 54 the frame).
pub fn places(memory: &[u8]) -> Result<String> {
    let pagemap = File::open("/proc/self/pagemap").context("opening the page map")?;
    let page = kernel_page()?;
    // A slice of bytes has no alignment: begin with its first whole page.
    let start = memory.as_ptr().addr().next_multiple_of(page);
    let end = (memory.as_ptr().addr() + memory.len()) / page * page;
    let mut entries = vec![0_u8; end.saturating_sub(start) / page * 8];
    pagemap
        .read_exact_at(&mut entries, u64::try_from(start / page * 8)?)
        .context("reading the page map")?;
    let page = u64::try_from(page)?;
    let mut text = String::new();
    let mut run: Option<(u64, u64)> = None;
    for entry in entries.chunks_exact(8) {
        let entry = u64::from_le_bytes(entry.try_into()?);
        ensure!(entry >> 63 == 1, "a locked page is not present");
        let frame = entry & ((1 << 55) - 1);
        ensure!(frame != 0, "the page map hides its frames");
        match &mut run {
            Some((_, last)) if *last + 1 == frame => *last = frame,
            _ => {
                put(&mut text, run.replace((frame, frame)), page)?;
            }
        }
    }
    put(&mut text, run, page)?;
    Ok(text)
}

fn put(text: &mut String, run: Option<(u64, u64)>, page: u64) -> Result<()> {
    if let Some((first, last)) = run {
        writeln!(text, "{:x}-{:x}", first * page, (last + 1) * page - 1)?;
    }
    Ok(())
}

/// The tool `mark`: writes a unique mark into every page that is free now. A free page
/// that is zero can be used, cleared and freed again without a trace; one with a mark
/// cannot. No two runs write the same marks: a program that is run twice may leave the
/// same bytes in the same page, and the page would look as if nothing had used it.
pub fn mark_free_pages() -> Result<()> {
    const LEFT: u64 = 8 << 20;
    const RESERVE: &str = "/proc/sys/vm/min_free_kbytes";
    let reserve = fs::read_to_string(RESERVE).context("the kernel's reserve")?;
    // It grows with the use of huge pages, and no program may touch it.
    fs::write(RESERVE, "1024").context("the kernel's reserve")?;
    let mut parts = Vec::new();
    let mut mark = first_mark()?;
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

/// Never zero, which a page without a mark has.
fn first_mark() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_nanos())? | 1)
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
