// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the directory of an archive.

use super::fields::{
    CENTRAL, CENTRAL_BYTES, END, END_BYTES, END64, END64_BYTES, EXTRA64, LOCAL_BYTES, LOCATOR64,
    LOCATOR64_BYTES, SIZES_FOLLOW, extra, widened,
};
use crate::aff4::Error;
use crate::fields::Fields;
use crate::{Account, ReadAt};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// A member, as the directory describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::aff4) struct Entry {
    pub(in crate::aff4) name: String,
    /// Where its local header begins, in bytes.
    pub(in crate::aff4) offset: u64,
    /// Its size in the archive.
    pub(in crate::aff4) stored_bytes: u64,
    /// The size of its content.
    pub(in crate::aff4) content_bytes: u64,
    pub(in crate::aff4) crc: u32,
    /// 0: stored; 8: deflated.
    pub(in crate::aff4) method: u16,
    /// Whether checksum and sizes are behind the content, not in the local header.
    pub(in crate::aff4) is_streamed: bool,
}

/// The directory at the end of an archive.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) entries: Vec<Entry>,
    /// How often it lists a member again, in the very same words.
    pub(super) repeated: usize,
    /// The comment after the directory.
    pub(super) comment: Vec<u8>,
}

/// What members are called where they exceed a budget.
const WHAT: &str = "the members in an AFF4 volume's directory";
/// The largest member to keep in memory as a whole.
pub(in crate::aff4) const MAX_MEMBER_IN_MEMORY_BYTES: u64 = 256 << 20;
/// Bytes of the directory to read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Where the directory is.
struct Extent {
    offset: u64,
    bytes: u64,
    count: u64,
}

pub(super) fn read(source: &dyn ReadAt, account: &Account) -> Result<Directory, Error> {
    let len = source.len();
    let reach = len.min(END_BYTES + LOCATOR64_BYTES + u64::from(u16::MAX));
    let base = len - reach;
    let tail = bytes(source, base, reach)?;
    let at = find_end(&tail).ok_or(Error::NoDirectory)?;
    let end_offset = base + usize_as_u64(at);
    let damaged = || Error::Zip {
        offset: end_offset,
        what: "the end of the directory contradicts itself",
    };
    let (extent, comment) = extent(source, &tail, at, end_offset).ok_or_else(damaged)?;
    // If something precedes the archive, the directory ends before the offset that it
    // states. AFF4 does not allow that.
    if extent
        .offset
        .checked_add(extent.bytes)
        .is_none_or(|end| end > end_offset)
    {
        return Err(damaged());
    }
    let mut entries = entries(source, &extent, account)?;
    let listed = entries.len();
    drop_repeated(&mut entries);
    check_overlaps(&entries)?;
    Ok(Directory {
        repeated: listed - entries.len(),
        entries,
        comment,
    })
}

/// The last place where the directory can end.
fn find_end(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(u64_as_usize(END_BYTES))?;
    (0..=last).rev().find(|&at| {
        let (_, end) = tail.split_at(at);
        let mut fields = Fields(end);
        if fields.u32() != Some(END) || fields.take(16).is_none() {
            return false;
        }
        // Whatever follows the comment is padding.
        fields
            .u16()
            .is_some_and(|len| fields.take(usize::from(len)).is_some())
    })
}

fn extent(
    source: &dyn ReadAt,
    tail: &[u8],
    at: usize,
    end_offset: u64,
) -> Option<(Extent, Vec<u8>)> {
    let mut fields = Fields(tail.get(at..)?);
    fields.take(8)?;
    let _here = fields.u16()?;
    let mut extent = Extent {
        count: u64::from(fields.u16()?),
        bytes: u64::from(fields.u32()?),
        offset: u64::from(fields.u32()?),
    };
    let comment_len = usize::from(fields.u16()?);
    let comment = fields.take(comment_len)?.to_vec();
    let locator = end_offset
        .checked_sub(LOCATOR64_BYTES)
        .and_then(|offset| bytes(source, offset, LOCATOR64_BYTES).ok());
    if let Some(locator) = locator {
        let mut fields = Fields(&locator);
        if fields.u32()? == LOCATOR64 {
            fields.take(4)?;
            let end64 = bytes(source, fields.u64()?, END64_BYTES).ok()?;
            let mut fields = Fields(&end64);
            if fields.u32()? != END64 {
                return None;
            }
            fields.take(28)?;
            extent.count = fields.u64()?;
            extent.bytes = fields.u64()?;
            extent.offset = fields.u64()?;
        }
    }
    Some((extent, comment))
}

/// Drops entries that say nothing new. Python's zipfile makes them of a name that is
/// written twice.
fn drop_repeated(entries: &mut Vec<Entry>) {
    let mut order: Vec<(u64, usize)> = (0..)
        .zip(entries.iter())
        .map(|(number, entry)| (entry.offset, number))
        .collect();
    order.sort_unstable();
    let mut repeated: Vec<usize> = Vec::new();
    for pair in order.windows(2) {
        let &[(_, first), (_, second)] = pair else {
            continue;
        };
        if entries.get(first) == entries.get(second) {
            repeated.push(second);
        }
    }
    repeated.sort_unstable();
    let mut next = repeated.into_iter().peekable();
    let mut number = 0;
    entries.retain(|_| {
        let is_repeated = next.next_if_eq(&number).is_some();
        number += 1;
        !is_repeated
    });
}

/// Refuses members that share bytes: no program writes them, and each of them could be
/// read as often as it has names.
fn check_overlaps(entries: &[Entry]) -> Result<(), Error> {
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_unstable_by_key(|entry| entry.offset);
    for pair in order.windows(2) {
        let &[lower, upper] = pair else { continue };
        // The name in the local header may differ from the one in the directory.
        let least = LOCAL_BYTES.checked_add(lower.stored_bytes);
        let end = least.and_then(|least| lower.offset.checked_add(least));
        if end.is_none_or(|end| end > upper.offset) {
            return Err(Error::Overlap {
                lower: shortened(&lower.name),
                upper: shortened(&upper.name),
            });
        }
    }
    Ok(())
}

/// `name` for a message.
fn shortened(name: &str) -> String {
    name.chars().take(200).collect()
}

fn entries(source: &dyn ReadAt, extent: &Extent, account: &Account) -> Result<Vec<Entry>, Error> {
    // The directory may state more entries than it has room for.
    let room = extent.count.min(extent.bytes / CENTRAL_BYTES);
    let mut entries = Vec::with_capacity(u64_as_usize(room).min(1 << 16));
    let mut window = Window {
        source,
        held: Vec::new(),
        start: extent.offset,
        // The caller has checked that the directory ends within the file.
        end: extent.offset + extent.bytes,
    };
    let mut next = extent.offset;
    for _ in 0..extent.count {
        let damaged = |what| Error::Zip { offset: next, what };
        let cut = || damaged("the directory has fewer entries than it states");
        let fixed = window.get(next, CENTRAL_BYTES)?.ok_or_else(cut)?;
        let lens = lens(fixed).ok_or_else(|| damaged("no directory entry begins here"))?;
        let variable: u64 = lens.iter().map(|&len| u64::from(len)).sum();
        let whole = CENTRAL_BYTES + variable;
        // Invalid bytes of a name become three bytes each.
        let [name, ..] = lens;
        let _name = account.lend(WHAT, 3 * u64::from(name))?;
        let record = window.get(next, whole)?.ok_or_else(cut)?;
        let entry = entry(record, lens)
            .ok_or_else(|| damaged("the entry is encrypted or contradicts itself"))?;
        account.hold_items::<Entry>(WHAT, 1)?;
        account.hold(WHAT, usize_as_u64(entry.name.len()))?;
        entries.push(entry);
        next += whole;
    }
    Ok(entries)
}

/// The sizes of the name, the extra fields and the comment.
fn lens(fixed: &[u8]) -> Option<[u16; 3]> {
    let mut fields = Fields(fixed);
    if fields.u32()? != CENTRAL {
        return None;
    }
    fields.take(24)?;
    Some([fields.u16()?, fields.u16()?, fields.u16()?])
}

fn entry(record: &[u8], [name, extras, _]: [u16; 3]) -> Option<Entry> {
    let mut fields = Fields(record);
    fields.take(8)?;
    let flags = fields.u16()?;
    let method = fields.u16()?;
    fields.take(4)?;
    let crc = fields.u32()?;
    let stored = fields.u32()?;
    let content = fields.u32()?;
    fields.take(14)?;
    let offset = fields.u32()?;
    let name = fields.take(usize::from(name))?;
    let mut wide = extra(fields.take(usize::from(extras))?, EXTRA64);
    // Encrypted.
    if flags & 1 != 0 {
        return None;
    }
    // The extra field has those that are there in this order.
    let content_bytes = widened(content, &mut wide)?;
    let stored_bytes = widened(stored, &mut wide)?;
    let offset = widened(offset, &mut wide)?;
    Some(Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        offset,
        stored_bytes,
        content_bytes,
        crc,
        method,
        is_streamed: flags & SIZES_FOLLOW != 0,
    })
}

/// A piece of the directory, so that entries need not be read one by one.
struct Window<'a> {
    source: &'a dyn ReadAt,
    held: Vec<u8>,
    start: u64,
    end: u64,
}

impl Window<'_> {
    /// `len` bytes at `offset`; `None` beyond the end of the directory.
    fn get(&mut self, offset: u64, len: u64) -> Result<Option<&[u8]>, Error> {
        let Some(until) = offset.checked_add(len).filter(|end| *end <= self.end) else {
            return Ok(None);
        };
        let held_end = self.start + usize_as_u64(self.held.len());
        if offset < self.start || until > held_end {
            let piece = PIECE_BYTES.max(len).min(self.end - offset);
            self.held = bytes(self.source, offset, piece)?;
            self.start = offset;
        }
        let from = u64_as_usize(offset - self.start);
        let to = u64_as_usize(until - self.start);
        Ok(self.held.get(from..to))
    }
}

/// `len` bytes at `offset`. The caller has limited `len`.
pub(super) fn bytes(source: &dyn ReadAt, offset: u64, len: u64) -> Result<Vec<u8>, Error> {
    if offset.checked_add(len).is_none_or(|end| end > source.len()) {
        return Err(Error::Zip {
            offset,
            what: "a structure of the archive is beyond the end of the file",
        });
    }
    let mut held = vec![0; u64_as_usize(len)];
    source.read_exact_at(offset, &mut held)?;
    Ok(held)
}
