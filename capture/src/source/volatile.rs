// SPDX-License-Identifier: MIT OR Apache-2.0
//! What changes most, and what all else is found through: the kernel's data and the
//! page tables.
//!
//! Where the kernel's data lies, /proc/iomem says; which pages are page tables,
//! /proc/kpageflags does.

use super::page_flags::{PageFlags, read_up_to};
use crate::pages::Pages;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysLen, PhysRange};
use procfs::FromBufRead;

/// What is held in memory before its turn, at most.
pub const MAX_BYTES: u64 = 64 << 20;

/// As in /proc/iomem (arch/x86/kernel/setup.c).
const KERNEL_DATA: [&str; 2] = ["Kernel data", "Kernel bss"];
/// KPF_PGTABLE of include/uapi/linux/kernel-page-flags.h, since 4.18.
const PAGE_TABLE_BIT: u32 = 26;
/// Words of /proc/kpageflags that are looked at together.
const STEP: PhysLen = PhysLen::new(32 << 20);

/// What is to be read first.
#[derive(Debug)]
pub struct Volatile {
    /// The pages.
    pub pages: Pages,
    /// What is not among them, and why.
    pub lacks: Vec<String>,
}

impl Volatile {
    /// Of `ranges`, which are to be read: the kernel's data after `iomem`, and the page
    /// tables.
    #[must_use]
    pub fn find(ranges: &[PhysRange], iomem: Option<&str>) -> Self {
        Self::with(ranges, iomem, &PageFlags::open(), MAX_BYTES)
    }

    fn with(ranges: &[PhysRange], iomem: Option<&str>, flags: &PageFlags, max_bytes: u64) -> Self {
        let mut budget = Budget {
            found: Vec::new(),
            left: max_bytes,
            passed_over: 0,
        };
        let mut lacks = Vec::new();
        let planned = Pages::touched_by(ranges.iter().copied());
        let data = kernel_data(iomem.unwrap_or_default());
        if data.is_empty() {
            lacks.push("the kernel's data, which /proc/iomem does not show".to_owned());
        }
        for part in data.iter().flat_map(|&range| planned.within(range)) {
            budget.take(part);
        }
        if let Some(error) = flags.trouble() {
            lacks.push(format!(
                "the page tables: {}: {error}",
                super::page_flags::PATH
            ));
        }
        for &range in planned.ranges() {
            page_tables(flags, range, &mut budget);
        }
        if budget.passed_over > 0 {
            lacks.push(format!(
                "{} beyond the {} that are held at most",
                PhysLen::new(budget.passed_over),
                PhysLen::new(max_bytes)
            ));
        }
        Self {
            pages: Pages::touched_by(budget.found),
            lacks,
        }
    }
}

/// What may still be taken.
struct Budget {
    found: Vec<PhysRange>,
    left: u64,
    passed_over: u64,
}

impl Budget {
    fn take(&mut self, range: PhysRange) {
        let len = range.len().get();
        match self.left.checked_sub(len) {
            Some(left) => {
                self.left = left;
                self.found.push(range);
            }
            None => self.passed_over = self.passed_over.saturating_add(len),
        }
    }
}

fn kernel_data(iomem: &str) -> Vec<PhysRange> {
    let entries = procfs::Iomem::from_buf_read(iomem.as_bytes());
    let entries = entries.map(|iomem| iomem.0).unwrap_or_default();
    entries
        .iter()
        .filter(|(_, entry)| KERNEL_DATA.contains(&entry.name.as_str()))
        .filter_map(|(_, entry)| {
            let (first, last) = entry.address;
            let range = PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last));
            range.ok()?.page_hull()
        })
        .collect()
}

/// Takes each run of page tables in `range`.
fn page_tables(flags: &PageFlags, range: PhysRange, budget: &mut Budget) {
    let mut words = Vec::new();
    let mut run: Option<PhysRange> = None;
    for piece in range.pieces(STEP) {
        words.resize(u64_as_usize(piece.len().pages()).saturating_mul(8), 0);
        let known = flags.words(piece.start(), &mut words);
        let pages = piece.pieces(PAGE_SIZE);
        for (page, word) in pages.zip(known.chunks_exact(8)) {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            if word.checked_shr(PAGE_TABLE_BIT).unwrap_or(0) & 1 == 0 {
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

impl PageFlags {
    /// The flags of the pages from `start` on, as far as the kernel tells.
    fn words<'a>(&self, start: PhysAddr, words: &'a mut [u8]) -> &'a [u8] {
        let Some(file) = self.file() else { return &[] };
        let offset = (start.get() / PAGE_SIZE.get()).saturating_mul(8);
        let known = read_up_to(file, words, offset);
        words.get(..known).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        // 0x100 is 1 MiB; the last one is not to be read, and 0xa0 neither.
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
        assert!(found.lacks.is_empty(), "{:?}", found.lacks);
    }

    #[test]
    fn what_is_too_much_or_unknown_is_told() {
        let planned = [range(0x1000, 0x300_0000)];
        let found = Volatile::with(&planned, Some(IOMEM), &flags(&[1, 2, 5, 7]), 0x5000);
        // Data and bss first: 3 pages; then two tables.
        assert_eq!(found.pages.ranges().len(), 3);
        assert!(
            found.lacks[0].contains("8 KiB beyond the 20 KiB"),
            "{:?}",
            found.lacks
        );
        let blind = Volatile::with(&planned, None, &PageFlags::none(), MAX_BYTES);
        assert!(blind.pages.is_empty());
        assert_eq!(blind.lacks.len(), 2);
    }
}
