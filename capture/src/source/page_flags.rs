// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/kpageflags: which pages of RAM must not be read, or only seem to be zero.
//!
//! /proc/kcore returns zeros for pages that are offline, ballooned or poisoned, without
//! an error. Older kernels and other files do read them, and a poisoned page can answer
//! with a machine check. This file has what the kernel knows of each page, as 64 bits a
//! page in the order of the pages (Documentation/admin-guide/mm/pagemap.rst,
//! include/uapi/linux/kernel-page-flags.h). What is offline as a whole block, the state of
//! the block tells ([`MemoryBlocks`]).

use super::memory_blocks::{self, MemoryBlocks};
use crate::kernel_page;
#[cfg(test)]
use linpmem_phys::PAGE_SIZE;
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{Errno, MemoryMap, PhysAddr, PhysLen, PhysRange, Unreadables};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The file.
pub(super) const PATH: &str = "/proc/kpageflags";

/// What sources do with pages that are not known to be absent, if the kernel lets them: for
/// [`PageFlags::warnings`].
pub(super) const READ_LIKE_OTHERS: &str =
    "will be read like others, which can end the machine, and not be listed as unreadable";

const BYTES_PER_PAGE: u64 = 8;

/// The largest huge pages have 16 GiB (on POWER): this many doublings of a page.
const MAX_HUGE_PAGE_SHIFT: u32 = 22;

/// What the kernel knows of pages.
#[derive(Debug)]
pub(super) struct PageFlags {
    /// The file, open; or the reason why it is not of use.
    file: io::Result<File>,
    /// The size of the kernel's pages.
    page: PhysLen,
    blocks: MemoryBlocks,
}

/// The flags of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u64);

impl PageFlags {
    /// On a machine with this RAM.
    pub(super) fn open(ram: impl IntoIterator<Item = PhysRange>) -> Self {
        let page = kernel_page::size();
        Self {
            file: File::open(PATH).and_then(|file| usable(file, page, ram)),
            page,
            blocks: MemoryBlocks::open(),
        }
    }

    #[cfg(test)]
    pub(super) fn from_file(file: File) -> Self {
        Self {
            file: Ok(file),
            page: PAGE_SIZE,
            blocks: MemoryBlocks::none(),
        }
    }

    /// As if the file could not be opened.
    #[cfg(test)]
    pub(super) fn unavailable() -> Self {
        Self {
            file: Err(io::ErrorKind::NotFound.into()),
            page: PAGE_SIZE,
            blocks: MemoryBlocks::none(),
        }
    }

    /// With pages of another size than 4 KiB.
    #[cfg(test)]
    pub(super) fn with_page(self, page: PhysLen) -> Self {
        Self { page, ..self }
    }

    #[cfg(test)]
    pub(super) fn with_blocks(self, blocks: MemoryBlocks) -> Self {
        Self { blocks, ..self }
    }

    /// Why the file is of no use, if it is not.
    pub(super) fn trouble(&self) -> Option<&io::Error> {
        self.file.as_ref().err()
    }

    /// What the user should know: which pages of the RAM in `map` are not told apart from
    /// others, what then happens to them (`fate`), and why.
    pub(super) fn warnings(&self, map: &MemoryMap, fate: &str) -> Vec<String> {
        let flags = match &self.file {
            Ok(file) if !self.reaches_the_end_of(map, file) => {
                Some("it ends before the RAM does".to_owned())
            }
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
        let flags = flags.map(|why| ("pages that are ballooned or poisoned", PATH, why));
        let blocks = self.blocks.trouble(map);
        let blocks = blocks.map(|why| ("pages that are offline", memory_blocks::PATH, why));
        let all = [flags, blocks].into_iter().flatten();
        all.map(|(pages, path, why)| format!("{pages} {fate}, as {path} cannot be used: {why}"))
            .collect()
    }

    /// The kernel's pages in `range`, by address, with their flags. It ends at the first page
    /// that the file does not have or whose flags cannot be read.
    pub(super) fn pages(&self, range: PhysRange) -> Vec<(PhysRange, Flags)> {
        let Ok(file) = &self.file else {
            return Vec::new();
        };
        let pages: Vec<PhysRange> = range.pieces(self.page).collect();
        let mut bytes = vec![[0; 8]; pages.len()];
        let offset = offset_of(range.start(), self.page);
        let known = read_up_to(file, bytes.as_flattened_mut(), offset) / size_of::<u64>();
        let flags = bytes
            .into_iter()
            .map(|bytes| Flags(u64::from_le_bytes(bytes)));
        pages.into_iter().zip(flags).take(known).collect()
    }

    /// The pages of `range` that must not be read, or were not, by address. `range` is
    /// System RAM. Pages without known flags count as good, unless their block is offline.
    pub(super) fn refused(&self, range: PhysRange) -> Unreadables {
        let offline = self.blocks.offline(range);
        let known = self.pages(range);
        let mut refused = Unreadables::new();
        if known.is_empty() && offline.is_empty() {
            return refused;
        }
        let mut flags = known.iter().map(|(_, flags)| *flags);
        let mut huge_page = None;
        for page in range.pieces(self.page) {
            let errno = flags
                .next()
                .and_then(|flags| self.refusal(page, flags, &mut huge_page))
                .or_else(|| {
                    let mut blocks = offline.iter();
                    blocks
                        .any(|block| block.intersect(page).is_some())
                        .then_some(Errno::ENODATA)
                });
            if let Some(errno) = errno {
                refused.push(page, errno);
            }
        }
        refused
    }

    /// The errno for a page if it must not be read. Whichever page of a huge page is broken,
    /// older kernels (6.1 among them) mark the first one: then it may be any of them.
    /// `huge_page` is whether that is so for the huge page before this page, which may go on.
    fn refusal(
        &self,
        page: PhysRange,
        flags: Flags,
        huge_page: &mut Option<bool>,
    ) -> Option<Errno> {
        let is_poisoned = match (flags.has(Flags::HUGE), flags.has(Flags::COMPOUND_TAIL)) {
            (false, _) => {
                *huge_page = None;
                false
            }
            (true, false) => *huge_page.insert(flags.has(Flags::HWPOISON)),
            (true, true) => *huge_page.get_or_insert_with(|| self.has_poisoned_head(page)),
        };
        let own = flags.refusal();
        own.or_else(|| is_poisoned.then_some(Errno::EHWPOISON))
    }

    /// Whether the first page of the huge page that contains `page` is poisoned. It is at a
    /// multiple of the huge page's size.
    fn has_poisoned_head(&self, page: PhysRange) -> bool {
        let sizes = (1..=MAX_HUGE_PAGE_SHIFT).map(|shift| self.page.get() << shift);
        let starts = sizes.map(|size| PhysAddr::new(page.start().get() & !(size - 1)));
        let candidates = starts.filter_map(|start| PhysRange::from_len(start, self.page).ok());
        let mut flags = candidates.flat_map(|candidate| self.pages(candidate));
        flags
            .find(|(_, flags)| flags.has(Flags::HUGE) && flags.has(Flags::COMPOUND_HEAD))
            .is_some_and(|(_, flags)| flags.has(Flags::HWPOISON))
    }

    /// Whether the file has the flags of the last page of RAM.
    fn reaches_the_end_of(&self, map: &MemoryMap, file: &File) -> bool {
        let whole = |ram: PhysRange| ram.whole_multiples(self.page);
        let Some(last) = map.ram().filter_map(whole).last() else {
            return true;
        };
        read_up_to(file, &mut [0; 8], offset_of(last.last(), self.page)) == size_of::<u64>()
    }
}

/// The file, if it has flags of the RAM. One that is masked, as containers do it, opens all the
/// same and is empty, or has nothing but zeros. Where RAM begins, differs: at 1 GiB on many
/// machines with arm64, and what comes before has no flags.
fn usable(file: File, page: PhysLen, ram: impl IntoIterator<Item = PhysRange>) -> io::Result<File> {
    let has_flags = |range: PhysRange| {
        let mut flags = [0; 1 << 16];
        let read = read_up_to(&file, &mut flags, offset_of(range.start(), page));
        flags.iter().take(read).any(|byte| *byte != 0)
    };
    if ram.into_iter().any(has_flags) {
        return Ok(file);
    }
    let is_empty = read_up_to(&file, &mut [0], 0) == 0;
    Err(io::Error::other(match is_empty {
        true => "it is empty, as if it were masked",
        false => "it has no flags, as if it were masked",
    }))
}

/// Where the file has the flags of the page with this address. Smaller than the address.
const fn offset_of(address: PhysAddr, page: PhysLen) -> u64 {
    address.get() / page.get() * BYTES_PER_PAGE
}

impl Flags {
    const COMPOUND_HEAD: u64 = 1 << 15;
    const COMPOUND_TAIL: u64 = 1 << 16;
    /// Of hugetlbfs.
    const HUGE: u64 = 1 << 17;
    const HWPOISON: u64 = 1 << 19;
    const NOPAGE: u64 = 1 << 20;
    const OFFLINE: u64 = 1 << 23;
    /// Since Linux 4.18.
    const PGTABLE: u64 = 1 << 26;

    /// Whether it has one of `flags`.
    const fn has(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    /// The errno for the page if it must not be read. On older kernels, an offline section
    /// of memory has no page structures, hence `NOPAGE`.
    const fn refusal(self) -> Option<Errno> {
        if self.has(Self::HWPOISON) {
            Some(Errno::EHWPOISON)
        } else if self.has(Self::NOPAGE | Self::OFFLINE) {
            Some(Errno::ENODATA)
        } else {
            None
        }
    }

    pub(super) const fn is_page_table(self) -> bool {
        self.has(Self::PGTABLE)
    }
}

/// Bytes of the file from `offset` on that fit `bytes`, up to its end or the first
/// error.
fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> usize {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + usize_as_u64(done)) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn poisoned_and_absent_pages_are_listed_and_the_end_of_the_file_is_not_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        // 3 pages: in use, poisoned, offline; nothing is known of those after them.
        for flags in [0x7f_u64, 1 << 19, 1 << 23] {
            file.write_all(&flags.to_le_bytes()).unwrap();
        }
        let flags = PageFlags::from_file(file);
        let range = PhysRange::new(PhysAddr::new(0x800), PhysAddr::new(0x8000)).unwrap();
        let listed: Vec<_> = flags
            .refused(range)
            .as_slice()
            .iter()
            .map(|item| (item.range.to_string(), item.errno.to_string()))
            .collect();
        let row = |range: &str, errno: &str| (range.to_owned(), errno.to_owned());
        assert_eq!(
            listed,
            [
                row("0x1000-0x1fff", "EHWPOISON"),
                row("0x2000-0x2fff", "ENODATA")
            ]
        );
        let unknown = PageFlags::unavailable();
        assert!(unknown.refused(range).is_empty());
        assert!(unknown.trouble().is_some());
    }

    #[test]
    fn each_flag_has_its_meaning() {
        assert_eq!(Flags(1 << 20).refusal(), Some(Errno::ENODATA));
        assert_eq!(Flags(1 << 19 | 1 << 23).refusal(), Some(Errno::EHWPOISON));
        assert_eq!(Flags(!(1 << 19 | 1 << 20 | 1 << 23)).refusal(), None);
        assert!(Flags(1 << 26).is_page_table() && !Flags(!(1 << 26)).is_page_table());
    }

    #[test]
    fn an_offline_block_is_listed_though_its_flags_are_those_of_ordinary_pages() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("block_size_bytes", "2000\n");
        put("memory1/state", "offline\n");
        let blocks = || MemoryBlocks::at(folder.path());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0; 8 * 8]).unwrap();
        let range = PhysRange::new(PhysAddr::new(0), PhysAddr::new(0x8000)).unwrap();
        // Whether or not the file of flags can be used.
        for flags in [PageFlags::from_file(file), PageFlags::unavailable()] {
            let refused = flags.with_blocks(blocks()).refused(range);
            let [only] = refused.as_slice() else {
                panic!("{refused:?}");
            };
            assert_eq!(only.range.to_string(), "0x2000-0x3fff");
            assert_eq!(only.errno, Errno::ENODATA);
        }
    }

    #[test]
    fn a_masked_file_is_trouble() {
        let ram = || [PhysRange::new(PhysAddr::new(0x1000), PhysAddr::new(0x4000)).unwrap()];
        let open = |path: &str| usable(File::open(path).unwrap(), PAGE_SIZE, ram());
        let error = |path: &str| open(path).unwrap_err().to_string();
        assert!(error("/dev/null").contains("empty"));
        assert!(error("/dev/zero").contains("no flags"));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0; 15]).unwrap();
        file.write_all(&[1]).unwrap();
        assert!(usable(file, PAGE_SIZE, ram()).is_ok());
    }

    #[test]
    fn flags_are_looked_for_where_ram_is() {
        // As on arm64: nothing below 1 GiB.
        let gib = 1 << 30;
        let ram = PhysRange::new(PhysAddr::new(gib), PhysAddr::new(2 * gib)).unwrap();
        let masked = tempfile::tempfile().unwrap();
        masked.set_len(gib).unwrap();
        let file = masked.try_clone().unwrap();
        assert!(usable(file, PAGE_SIZE, [ram]).is_err());
        let file = masked.try_clone().unwrap();
        file.write_all_at(&[1], gib / 4096 * 8 + 77).unwrap();
        assert!(usable(file, PAGE_SIZE, [ram]).is_ok());
        // Not all of it may be the kernel's own.
        let reserved = PhysRange::new(PhysAddr::new(0), PhysAddr::new(gib)).unwrap();
        assert!(usable(masked, PAGE_SIZE, [reserved, ram]).is_ok());
    }

    #[test]
    fn all_of_a_huge_page_is_refused_if_its_first_page_is_marked() {
        const HEAD: u64 = Flags::HUGE | Flags::COMPOUND_HEAD;
        const TAIL: u64 = Flags::HUGE | Flags::COMPOUND_TAIL;
        // Two huge pages of 4 pages each, of which the second is broken; then an ordinary
        // one, and a compound page of another kind.
        let words = [
            [HEAD, TAIL, TAIL, TAIL],
            [HEAD | Flags::HWPOISON, TAIL, TAIL, TAIL],
            [
                0,
                Flags::COMPOUND_HEAD | Flags::HWPOISON,
                Flags::COMPOUND_TAIL,
                0,
            ],
        ];
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(
            &words
                .as_flattened()
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect::<Vec<u8>>(),
        )
        .unwrap();
        let flags = PageFlags::from_file(file);
        let listed = |first: u64, end: u64| -> Vec<String> {
            let range = PhysRange::new(PhysAddr::new(first), PhysAddr::new(end)).unwrap();
            let refused = flags.refused(range);
            let ranges = refused.as_slice().iter();
            ranges
                .map(|item| format!("{} {}", item.range, item.errno))
                .collect()
        };
        assert_eq!(
            listed(0, 0xc000),
            ["0x4000-0x7fff EHWPOISON", "0x9000-0x9fff EHWPOISON"]
        );
        // From the middle of one.
        assert_eq!(listed(0x3000, 0x4000), [""; 0]);
        assert_eq!(listed(0x6000, 0x8000), ["0x6000-0x7fff EHWPOISON"]);
    }

    #[test]
    fn what_is_masked_or_cut_off_is_a_warning_that_names_it() {
        let map = |end: u64| {
            let range = PhysRange::new(PhysAddr::new(0x1000), PhysAddr::new(end)).unwrap();
            let kind = linpmem_phys::RegionKind::SystemRam;
            MemoryMap::new([linpmem_phys::Region { range, kind }]).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 8 * 8]).unwrap();
        let whole = PageFlags::from_file(file);
        // The last byte is in a page that is only partly RAM.
        assert_eq!(whole.warnings(&map(0x8001), "are read"), [""; 0]);
        let [cut_off] = &whole.warnings(&map(0x9000), "are read")[..] else {
            panic!("one warning");
        };
        assert!(
            cut_off.contains("poisoned are read, as /proc/kpageflags")
                && cut_off.contains("ends before the RAM does"),
            "{cut_off}"
        );
        let masked = MemoryBlocks::at(folder.path());
        let both = PageFlags::unavailable().with_blocks(masked);
        let [flags, blocks] = &both.warnings(&map(0x8000), "are read")[..] else {
            panic!("two warnings");
        };
        assert!(flags.contains("/proc/kpageflags"), "{flags}");
        assert!(
            blocks.contains("offline are read, as /sys/devices/system/memory")
                && blocks.contains("masked"),
            "{blocks}"
        );
    }
}
