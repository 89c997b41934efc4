// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/kpageflags: which pages of RAM must not be read, or only seem to be zero.
//!
//! /proc/kcore returns zeros for pages that are offline, ballooned or poisoned, without
//! an error. Older kernels and other files do read them, and a poisoned page can answer
//! with a machine check. This file has what the kernel knows of each page, as 64 bits a
//! page in the order of the pages (Documentation/admin-guide/mm/pagemap.rst,
//! include/uapi/linux/kernel-page-flags.h). What is offline as a whole block, the state of
//! the block tells ([`MemoryBlocks`]).

use super::memory_blocks::MemoryBlocks;
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{Errno, PAGE_SIZE, PhysRange, Unreadables};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The file.
pub(super) const PATH: &str = "/proc/kpageflags";

const BYTES_PER_PAGE: u64 = 8;

/// What the kernel knows of pages.
#[derive(Debug)]
pub(super) struct PageFlags {
    /// The file, open; or the reason why it is not of use.
    file: io::Result<File>,
    blocks: MemoryBlocks,
}

/// The flags of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u64);

impl PageFlags {
    pub(super) fn open() -> Self {
        Self {
            file: File::open(PATH).and_then(usable),
            blocks: MemoryBlocks::open(),
        }
    }

    #[cfg(test)]
    pub(super) fn from_file(file: File) -> Self {
        Self {
            file: Ok(file),
            blocks: MemoryBlocks::none(),
        }
    }

    /// As if the file could not be opened.
    #[cfg(test)]
    pub(super) fn unavailable() -> Self {
        Self {
            file: Err(io::ErrorKind::NotFound.into()),
            blocks: MemoryBlocks::none(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_blocks(self, blocks: MemoryBlocks) -> Self {
        Self { blocks, ..self }
    }

    /// Why the file is of no use, if it is not.
    pub(super) fn trouble(&self) -> Option<&io::Error> {
        self.file.as_ref().err()
    }

    /// The pages of `range`, by address, with their flags. It ends at the first page
    /// that the file does not have or whose flags cannot be read.
    pub(super) fn pages(&self, range: PhysRange) -> Vec<(PhysRange, Flags)> {
        let Ok(file) = &self.file else {
            return Vec::new();
        };
        let pages: Vec<PhysRange> = range.pieces(PAGE_SIZE).collect();
        let mut bytes = vec![[0; 8]; pages.len()];
        // The result is smaller than the address it is made from.
        let offset = range.start().get() / PAGE_SIZE.get() * BYTES_PER_PAGE;
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
        let mut flags = known.iter().map(|(_, flags)| *flags);
        let mut refused = Unreadables::new();
        if known.is_empty() && offline.is_empty() {
            return refused;
        }
        for page in range.pieces(PAGE_SIZE) {
            let errno = flags.next().and_then(Flags::refusal).or_else(|| {
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
}

/// The file, if it has flags. One that is masked, as containers do it, opens all the same
/// and is empty, or has nothing but zeros.
fn usable(file: File) -> io::Result<File> {
    let mut flags = [0; 1 << 16];
    match read_up_to(&file, &mut flags, 0) {
        0 => Err(io::Error::other("it is empty, as if it were masked")),
        read if flags.iter().take(read).all(|byte| *byte == 0) => {
            Err(io::Error::other("it has no flags, as if it were masked"))
        }
        _ => Ok(file),
    }
}

impl Flags {
    const HWPOISON: u64 = 1 << 19;
    const NOPAGE: u64 = 1 << 20;
    const OFFLINE: u64 = 1 << 23;
    /// Since Linux 4.18.
    const PGTABLE: u64 = 1 << 26;

    /// The errno for the page if it must not be read. On older kernels, an offline section
    /// of memory has no page structures, hence `NOPAGE`.
    const fn refusal(self) -> Option<Errno> {
        if self.0 & Self::HWPOISON != 0 {
            Some(Errno::EHWPOISON)
        } else if self.0 & (Self::NOPAGE | Self::OFFLINE) != 0 {
            Some(Errno::ENODATA)
        } else {
            None
        }
    }

    pub(super) const fn is_page_table(self) -> bool {
        self.0 & Self::PGTABLE != 0
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
    use linpmem_phys::PhysAddr;
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
        let error = |path: &str| usable(File::open(path).unwrap()).unwrap_err().to_string();
        assert!(error("/dev/null").contains("empty"));
        assert!(error("/dev/zero").contains("no flags"));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
        assert!(usable(file).is_ok());
    }
}
