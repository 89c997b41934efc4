// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/kpageflags: which pages of RAM must not be read, or only seem to be.
//!
//! /proc/kcore gives zeros for pages that are offline, ballooned or broken, and
//! says nothing of it; older kernels and other files read them, which a broken
//! page can answer with a machine check. What the kernel knows of each page is
//! told here, 64 bits a page in the order of the pages
//! (Documentation/admin-guide/mm/pagemap.rst, include/uapi/linux/kernel-page-flags.h).

use linpmem_phys::{Errno, PAGE_SIZE, PhysRange, Unreadables};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where the kernel tells.
pub(super) const PATH: &str = "/proc/kpageflags";

const BYTES_PER_PAGE: u64 = 8;
/// Bit and what a page that has it is listed with. An offline section has no
/// page at all as far as this file knows.
const REFUSALS: [(u32, Errno); 3] = [
    (19, Errno::new(133)), // KPF_HWPOISON: EHWPOISON
    (20, Errno::new(61)),  // KPF_NOPAGE: ENODATA
    (23, Errno::new(61)),  // KPF_OFFLINE: ENODATA
];

/// The file, open; or the reason why it is not.
#[derive(Debug)]
pub(super) struct PageFlags(io::Result<File>);

impl PageFlags {
    pub(super) fn open() -> Self {
        Self(File::open(PATH))
    }

    /// What `file` tells.
    #[cfg(test)]
    pub(super) fn from_file(file: File) -> Self {
        Self(Ok(file))
    }

    /// Nothing is known.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(Err(io::ErrorKind::NotFound.into()))
    }

    /// Why nothing is known, if so.
    pub(super) fn trouble(&self) -> Option<&io::Error> {
        self.0.as_ref().err()
    }

    /// The file.
    pub(super) fn file(&self) -> Option<&File> {
        self.0.as_ref().ok()
    }

    /// The pages of `range` that must not be read, by address. `range` is System
    /// RAM. What the kernel does not tell counts as good.
    pub(super) fn refused(&self, range: PhysRange) -> Unreadables {
        let mut refused = Unreadables::new();
        let Ok(file) = &self.0 else { return refused };
        let pages: Vec<PhysRange> = range.pieces(PAGE_SIZE).collect();
        let mut bytes = vec![0; pages.len().saturating_mul(8)];
        let first = range.start().get() / PAGE_SIZE.get();
        let known = read_up_to(file, &mut bytes, first.saturating_mul(BYTES_PER_PAGE));
        let words = bytes.get(..known).unwrap_or_default().chunks_exact(8);
        for (page, word) in pages.into_iter().zip(words) {
            let flags = word.try_into().map_or(0, u64::from_le_bytes);
            let refusal = REFUSALS
                .iter()
                .find(|(bit, _)| flags.checked_shr(*bit).unwrap_or(0) & 1 == 1);
            if let Some(&(_, errno)) = refusal {
                refused.push(page, errno);
            }
        }
        refused
    }
}

/// As much of the file as there is.
pub(super) fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> usize {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => done = done.saturating_add(count),
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
    fn broken_and_absent_pages_are_told_and_the_end_is_no_trouble() {
        let mut file = tempfile::tempfile().unwrap();
        // 3 pages: in use, poisoned, offline; then nothing more is known.
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
        let told = |range: &str, errno: &str| (range.to_owned(), errno.to_owned());
        assert_eq!(
            listed,
            [
                told("0x1000-0x1fff", "EHWPOISON"),
                told("0x2000-0x2fff", "ENODATA")
            ]
        );
        let unknown = PageFlags::none();
        assert!(unknown.refused(range).is_empty());
        assert!(unknown.trouble().is_some());
    }
}
