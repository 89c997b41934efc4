// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mappings of a process, and its memory.

use crate::part::Seek;
use linpmem_inspect::{AddressSpace, Error, Machine, MemoryError, Reason, Task};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Errno, PAGE_SIZE};

/// Bytes that the mappings of a process and their paths may take, while they are listed.
pub(super) const ROOM: u64 = 32 << 20;
/// Pages that are looked at for one question about holes.
const MAX_PROBES: u64 = 1 << 14;
/// The largest file that Linux has.
const MAX_BYTES: u64 = i64::MAX.unsigned_abs();

/// Where mappings are: first and last address.
#[derive(Debug)]
pub(super) struct Mappings(Vec<(u64, u64)>);

impl Mappings {
    pub(super) fn of(machine: &Machine<'_>, task: &Task) -> Result<Self, Error> {
        let mut room = ROOM;
        let found = machine.maps(task, &mut room)?;
        let spans = found.items.iter();
        let mut spans: Vec<_> = spans
            .filter(|mapping| mapping.start < mapping.end)
            .map(|mapping| (mapping.start, mapping.end.saturating_sub(1)))
            .collect();
        // A kernel has them in order, each once.
        spans.sort_unstable();
        spans.dedup();
        Ok(Self(spans))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len().saturating_mul(size_of::<(u64, u64)>())
    }

    pub(super) fn len(&self) -> u64 {
        usize_as_u64(self.0.len())
    }

    pub(super) fn get(&self, index: u64) -> Result<Span, Errno> {
        let span = self.0.get(u64_as_usize(index)).copied();
        let (start, last) = span.ok_or(Errno::ENOENT)?;
        Ok(Span { start, last })
    }

    pub(super) fn find(&self, name: &str) -> Option<u64> {
        let (start, last) = name.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        let span = (number(start)?, number(last)?);
        let index = usize_as_u64(self.0.binary_search(&span).ok()?);
        (self.get(index).ok()?.name() == name).then_some(index)
    }
}

/// A mapping as a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u64,
    last: u64,
}

impl Span {
    pub(super) fn name(self) -> String {
        format!("{:#x}-{:#x}", self.start, self.last)
    }

    pub(super) const fn size(self) -> u64 {
        let size = self.last.saturating_sub(self.start).saturating_add(1);
        if size < MAX_BYTES { size } else { MAX_BYTES }
    }

    /// Fills `buf` from `at` on. Pages that are not in memory or not in the image are zero.
    pub(super) fn read(
        self,
        machine: &Machine<'_>,
        space: AddressSpace,
        at: u64,
        buf: &mut [u8],
    ) -> Result<usize, Errno> {
        let len = usize_as_u64(buf.len()).min(self.size().saturating_sub(at));
        let (mut rest, _) = buf.split_at_mut(u64_as_usize(len));
        let mut address = self.start.wrapping_add(at);
        while !rest.is_empty() {
            let (done, error) = machine.read_some_in(space, address, rest);
            let Some(error) = error else {
                break;
            };
            if !is_absent(&error) {
                return Err(Errno::EIO);
            }
            let (_, missing) = rest.split_at_mut(done);
            address = address.wrapping_add(usize_as_u64(done));
            let in_page = PAGE_SIZE.get() - address % PAGE_SIZE.get();
            let gap = missing.len().min(u64_as_usize(in_page));
            let (zeros, tail) = missing.split_at_mut(gap);
            zeros.fill(0);
            address = address.wrapping_add(usize_as_u64(gap));
            rest = tail;
        }
        Ok(u64_as_usize(len))
    }

    /// The first byte from `at` on that is in memory, or is not. After many pages, the next one
    /// counts as in memory: a hole is what is known to be one.
    pub(super) fn seek(
        self,
        machine: &Machine<'_>,
        space: AddressSpace,
        at: u64,
        what: Seek,
    ) -> Result<u64, Errno> {
        let size = self.size();
        let mut at = at;
        for _ in 0..MAX_PROBES {
            if at >= size {
                break;
            }
            let address = self.start.wrapping_add(at);
            let (_, error) = machine.read_some_in(space, address, &mut [0]);
            let is_there = match error {
                None => true,
                Some(error) if is_absent(&error) => false,
                Some(_) => return Err(Errno::EIO),
            };
            if is_there == (what == Seek::Data) {
                return Ok(at);
            }
            at = at.saturating_add(PAGE_SIZE.get() - address % PAGE_SIZE.get());
        }
        match what {
            Seek::Data if at >= size => Err(Errno::ENXIO),
            Seek::Data => Ok(at),
            Seek::Hole => Ok(size),
        }
    }
}

/// Whether a page is just not there; nothing is known of it if reading failed otherwise.
const fn is_absent(error: &MemoryError) -> bool {
    !matches!(error.reason, Reason::TooMuch | Reason::Source(_))
}
