// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that changes fastest and that an analysis starts from: the kernel's data
//! and the page tables.
//!
//! /proc/iomem says where the kernel's data is, /proc/kpageflags which pages are page
//! tables.

use super::page_flags::{self, PageFlags};
use crate::pages::Pages;
use linpmem_kinfo::iomem;
use linpmem_phys::{PhysLen, PhysRange};

/// The most that is read before its turn and kept in memory.
pub const MAX_BYTES: u64 = 64 << 20;

/// As in /proc/iomem (arch/x86/kernel/setup.c).
const KERNEL_DATA: [&str; 2] = ["Kernel data", "Kernel bss"];
/// Memory whose flags are looked at together.
const STEP: PhysLen = PhysLen::new(32 << 20);

/// What is to be read first.
#[derive(Debug)]
pub struct Volatile {
    /// The pages.
    pub pages: Pages,
    /// What should be among them and is not, and why.
    pub omitted: Vec<String>,
}

impl Volatile {
    /// What of `ranges`, the memory to be read, changes fastest. `iomem` is the text of
    /// /proc/iomem.
    #[must_use]
    pub fn find(ranges: &[PhysRange], iomem: Option<&str>) -> Self {
        let flags = PageFlags::open(ranges.iter().copied());
        Self::with(ranges, iomem, &flags, MAX_BYTES)
    }

    fn with(ranges: &[PhysRange], iomem: Option<&str>, flags: &PageFlags, max_bytes: u64) -> Self {
        let mut budget = Budget {
            found: Vec::new(),
            left: max_bytes,
            exceeded_by: 0,
        };
        let mut omitted = Vec::new();
        let planned = Pages::touched_by(ranges.iter().copied());
        match kernel_data(iomem) {
            Ok(data) => data
                .iter()
                .flat_map(|&range| planned.within(range))
                .for_each(|part| budget.take(part)),
            Err(reason) => omitted.push(format!("the kernel's data: {reason}")),
        }
        if let Some(error) = flags.trouble() {
            omitted.push(format!("the page tables: {}: {error}", page_flags::PATH));
        }
        for &range in planned.ranges() {
            page_tables(flags, range, &mut budget);
        }
        if budget.exceeded_by > 0 {
            omitted.push(format!(
                "{} beyond the limit of {}",
                PhysLen::new(budget.exceeded_by),
                PhysLen::new(max_bytes)
            ));
        }
        Self {
            pages: Pages::touched_by(budget.found),
            omitted,
        }
    }
}

/// How many bytes may still be taken.
struct Budget {
    found: Vec<PhysRange>,
    left: u64,
    exceeded_by: u64,
}

impl Budget {
    fn take(&mut self, range: PhysRange) {
        let len = range.len().get();
        match self.left.checked_sub(len) {
            Some(left) => {
                self.left = left;
                self.found.push(range);
            }
            // Parts of RAM: their sum fits.
            None => self.exceeded_by += len,
        }
    }
}

/// The kernel's data, in whole pages; or why it is unknown.
fn kernel_data(text: Option<&str>) -> Result<Vec<PhysRange>, String> {
    let text = text.ok_or("the source has no /proc/iomem")?;
    let listing = iomem::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    let data: Vec<PhysRange> = listing
        .entries
        .iter()
        .filter(|entry| KERNEL_DATA.contains(&&*entry.name))
        .filter_map(|entry| entry.range.page_hull())
        .collect();
    if data.is_empty() {
        return Err("/proc/iomem does not list it".to_owned());
    }
    Ok(data)
}

/// Takes each run of page tables in `range`.
fn page_tables(flags: &PageFlags, range: PhysRange, budget: &mut Budget) {
    let mut run: Option<PhysRange> = None;
    for piece in range.pieces(STEP) {
        for (page, flags) in flags.pages(piece) {
            if !flags.is_page_table() {
                continue;
            }
            let joined = run
                .filter(|run| run.end() == page.start())
                .and_then(|run| PhysRange::new(run.start(), page.end()).ok());
            if joined.is_none() {
                if let Some(run) = run {
                    budget.take(run);
                }
            }
            run = joined.or(Some(page));
        }
    }
    if let Some(run) = run {
        budget.take(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::PhysAddr;
    use std::io::Write;

    const IOMEM: &str = "00001000-0009fbff : System RAM\n\
        00100000-3ffdffff : System RAM\n\
        \x20 01000000-01ffffff : Kernel code\n\
        \x20 02200000-02203fff : Kernel rodata\n\
        \x20 02400000-02401fff : Kernel data\n\
        \x20 02600000-02600fff : Kernel bss\n";

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    fn flags(tables: &[u64]) -> PageFlags {
        let mut file = tempfile::tempfile().unwrap();
        for page in 0..0x3000_u64 {
            let word = if tables.contains(&page) {
                1_u64 << 26
            } else {
                0x7f
            };
            file.write_all(&word.to_le_bytes()).unwrap();
        }
        PageFlags::from_file(file)
    }

    #[test]
    fn the_kernels_data_and_the_page_tables_are_found() {
        let planned = [range(0x1000, 0x9f000), range(0x10_0000, 0x300_0000)];
        // 0x100 is 1 MiB; the last one is outside what is to be read, and so is 0xa0.
        let flags = flags(&[0x10, 0x11, 0xa0, 0x100, 0x20ff, 0x2100, 0x2fff, 0x3000]);
        let found = Volatile::with(&planned, Some(IOMEM), &flags, MAX_BYTES);
        assert_eq!(
            found.pages.ranges(),
            [
                range(0x1_0000, 0x1_2000),
                range(0x10_0000, 0x10_1000),
                range(0x20f_f000, 0x210_1000),
                range(0x240_0000, 0x240_2000),
                range(0x260_0000, 0x260_1000),
                range(0x2ff_f000, 0x300_0000),
            ]
        );
        assert!(found.omitted.is_empty(), "{:?}", found.omitted);
    }

    #[test]
    fn what_exceeds_the_limit_or_is_unknown_is_reported() {
        let planned = [range(0x1000, 0x300_0000)];
        let found = Volatile::with(&planned, Some(IOMEM), &flags(&[1, 2, 5, 7]), 0x5000);
        // Data and bss first: 3 pages; then two tables.
        assert_eq!(found.pages.ranges().len(), 3);
        assert!(
            found.omitted[0].contains("8 KiB beyond the limit of 20 KiB"),
            "{:?}",
            found.omitted
        );
        let blind = Volatile::with(&planned, None, &PageFlags::unavailable(), MAX_BYTES);
        assert!(blind.pages.is_empty());
        assert_eq!(blind.omitted.len(), 2);
    }
}
