// SPDX-License-Identifier: MIT OR Apache-2.0
//! Physical memory, through a cache of its pages.

use crate::error::Reason;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Errno, PAGE_SIZE, PhysAddr, ReadPhys, Unreadables};
use std::cell::{Cell, RefCell};
use std::fmt;

const PAGE: u64 = PAGE_SIZE.get();
const PAGE_LEN: usize = u64_as_usize(PAGE);

/// Pages that may have the same place. With [`SETS`], 8 MiB of pages are kept.
const WAYS: u64 = 4;
const SETS: u64 = 512;

/// Translations that are kept.
const TRANSLATIONS: u64 = 1024;

/// How often memory is read at most, by everything that is done with a machine. Each walk
/// ends on its own, but an image that was made for the purpose has as many of them as it likes.
const MAX_READS: u64 = 1 << 29;
/// How often a page is fetched at most, which may mean that the image unpacks it: 16 GiB.
const MAX_FETCHES: u64 = 1 << 22;

/// Physical memory.
pub(crate) struct Memory<'a> {
    source: &'a dyn ReadPhys,
    cache: RefCell<Cache>,
    reads_left: Cell<u64>,
    fetches_left: Cell<u64>,
}

struct Cache {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    /// Grows with each use of a page.
    now: u64,
    translations: Vec<Option<Translation>>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The page's address, if there is one.
    page: Option<u64>,
    used: u64,
    /// Why it cannot be read.
    errno: Option<Errno>,
}

/// The page that a virtual page was found to be.
#[derive(Clone, Copy)]
struct Translation {
    root: u64,
    virt: u64,
    phys: u64,
}

impl fmt::Debug for Memory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl<'a> Memory<'a> {
    pub(crate) fn new(source: &'a dyn ReadPhys) -> Self {
        let slots = u64_as_usize(SETS * WAYS);
        Self {
            source,
            cache: RefCell::new(Cache {
                slots: vec![Slot::default(); slots],
                bytes: vec![0; slots * PAGE_LEN],
                now: 0,
                translations: vec![None; u64_as_usize(TRANSLATIONS)],
            }),
            reads_left: Cell::new(MAX_READS),
            fetches_left: Cell::new(MAX_FETCHES),
        }
    }

    /// Lets as much be read again as in the beginning.
    pub(crate) fn renew(&self) {
        self.reads_left.set(MAX_READS);
        self.fetches_left.set(MAX_FETCHES);
    }

    /// Fills `buf` from `at` on. A page that is not wholly in the image counts as missing.
    pub(crate) fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Reason> {
        let left = self.reads_left.get().checked_sub(1);
        self.reads_left.set(left.ok_or(Reason::TooMuch)?);
        let mut at = at;
        let mut rest = buf;
        let mut cache = self.cache.borrow_mut();
        while !rest.is_empty() {
            let within = at % PAGE;
            let len = rest.len().min(u64_as_usize(PAGE - within));
            let (target, tail) = rest.split_at_mut(len);
            let page = cache.page(self.source, at - within, &self.fetches_left)?;
            let from = u64_as_usize(within);
            if let Some(bytes) = page.get(from..from + len) {
                target.copy_from_slice(bytes);
            }
            rest = tail;
            at = at.checked_add(usize_as_u64(len)).ok_or(Reason::Invalid)?;
        }
        Ok(())
    }

    /// The eight bytes at `at`.
    pub(crate) fn read_u64(&self, at: u64) -> Result<u64, Reason> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The physical page of the page `virt` below `root`, if it was found before.
    pub(crate) fn translation(&self, root: u64, virt: u64) -> Option<u64> {
        let cache = self.cache.borrow();
        let found = (*cache.translations.get(place(root, virt))?)?;
        (found.root == root && found.virt == virt).then_some(found.phys)
    }

    pub(crate) fn keep_translation(&self, root: u64, virt: u64, phys: u64) {
        let mut cache = self.cache.borrow_mut();
        if let Some(slot) = cache.translations.get_mut(place(root, virt)) {
            *slot = Some(Translation { root, virt, phys });
        }
    }
}

fn place(root: u64, virt: u64) -> usize {
    u64_as_usize(((virt / PAGE) ^ (root / PAGE)) % TRANSLATIONS)
}

impl Cache {
    /// The page at `page`, which begins there.
    fn page(
        &mut self,
        source: &dyn ReadPhys,
        page: u64,
        fetches_left: &Cell<u64>,
    ) -> Result<&[u8], Reason> {
        self.now += 1;
        let first = u64_as_usize((page / PAGE % SETS) * WAYS);
        let end = first + u64_as_usize(WAYS);
        let mut chosen = first;
        let mut oldest = u64::MAX;
        let mut is_kept = false;
        for (index, slot) in (first..end).zip(self.slots.get(first..end).unwrap_or(&[])) {
            if slot.page == Some(page) {
                (chosen, is_kept) = (index, true);
                break;
            }
            if slot.used < oldest {
                (chosen, oldest) = (index, slot.used);
            }
        }
        let range = chosen * PAGE_LEN..(chosen + 1) * PAGE_LEN;
        let (Some(slot), Some(bytes)) = (self.slots.get_mut(chosen), self.bytes.get_mut(range))
        else {
            return Err(Reason::Invalid);
        };
        if !is_kept {
            let left = fetches_left.get().checked_sub(1);
            fetches_left.set(left.ok_or(Reason::TooMuch)?);
            slot.page = None;
            let mut unreadable = Unreadables::new();
            let read = source.read_phys(PhysAddr::new(page), bytes, &mut unreadable);
            read.map_err(|error| Reason::Source(error.to_string()))?;
            slot.errno = unreadable.as_slice().first().map(|item| item.errno);
            slot.page = Some(page);
        }
        slot.used = self.now;
        match slot.errno {
            None => Ok(bytes),
            Some(errno) => Err(Reason::NotInImage {
                at: PhysAddr::new(page),
                errno,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{PhysRange, SourceError};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Pages that begin with their own address, except for every one whose number ends in 0xff.
    #[derive(Default)]
    struct Counting(AtomicU64);

    impl ReadPhys for Counting {
        fn read_phys(
            &self,
            start: PhysAddr,
            buf: &mut [u8],
            unreadable: &mut Unreadables,
        ) -> Result<(), SourceError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            buf.fill(0);
            buf[..8].copy_from_slice(&start.get().to_le_bytes());
            if start.get() >> 12 & 0xff == 0xff {
                let end = PhysAddr::new(start.get() + PAGE);
                unreadable.push(PhysRange::new(start, end).unwrap(), Errno::EIO);
            }
            Ok(())
        }
    }

    #[test]
    fn a_page_is_read_once_as_long_as_there_is_room() {
        let source = Counting::default();
        let memory = Memory::new(&source);
        for _ in 0..3 {
            for page in 0..200 {
                assert_eq!(memory.read_u64(page * PAGE).unwrap(), page * PAGE);
            }
        }
        assert_eq!(source.0.load(Ordering::Relaxed), 200);
        // The places of one set are taken by those that were used last.
        let step = SETS * PAGE;
        for index in [0, 1, 2, 3, 0, 4, 0] {
            memory.read_u64(index * step).unwrap();
        }
        assert_eq!(source.0.load(Ordering::Relaxed), 204);
    }

    #[test]
    fn what_leads_in_circles_for_too_long_is_not_read_any_further() {
        let source = Counting::default();
        let memory = Memory::new(&source);
        memory.reads_left.set(2);
        assert_eq!(memory.read_u64(0), Ok(0));
        assert_eq!(memory.read_u64(PAGE), Ok(PAGE));
        for _ in 0..2 {
            assert_eq!(memory.read_u64(PAGE), Err(Reason::TooMuch));
        }
        memory.fetches_left.set(0);
        memory.renew();
        assert_eq!(memory.read_u64(2 * PAGE), Ok(2 * PAGE));
    }

    #[test]
    fn pages_that_are_kept_can_be_read_when_no_others_are_fetched() {
        let source = Counting::default();
        let memory = Memory::new(&source);
        memory.fetches_left.set(1);
        assert_eq!(memory.read_u64(PAGE), Ok(PAGE));
        for _ in 0..2 {
            assert_eq!(memory.read_u64(0), Err(Reason::TooMuch));
            assert_eq!(memory.read_u64(PAGE), Ok(PAGE));
        }
    }

    #[test]
    fn a_missing_page_fails_and_is_not_asked_for_again() {
        let source = Counting::default();
        let memory = Memory::new(&source);
        for _ in 0..2 {
            let mut bytes = [0; 16];
            let error = memory.read(0xfe_ff8, &mut bytes).unwrap_err();
            let at = PhysAddr::new(0xff_000);
            assert_eq!(
                error,
                Reason::NotInImage {
                    at,
                    errno: Errno::EIO
                }
            );
        }
        assert_eq!(source.0.load(Ordering::Relaxed), 2);
    }
}
