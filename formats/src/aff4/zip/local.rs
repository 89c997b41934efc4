// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding members without a directory, by their local headers.

use super::directory::{Entry, bytes};
use super::fields::{EXTRA64, LOCAL, LOCAL_BYTES, extra, widened};
use crate::aff4::Error;
use crate::fields::Fields;
use crate::{Account, ReadAt};
use linpmem_phys::num::usize_as_u64;

/// The members that were found.
#[derive(Debug)]
pub(in crate::aff4) struct Scanned {
    /// The complete members, in file order.
    pub(in crate::aff4) entries: Vec<Entry>,
    /// Where the last of them ends, in bytes.
    pub(in crate::aff4) end: u64,
}

/// Walks over the members from the beginning of the file on, until one is incomplete or
/// something else follows.
pub(in crate::aff4) fn scan(source: &dyn ReadAt, account: &Account) -> Result<Scanned, Error> {
    let mut scanned = Scanned {
        entries: Vec::new(),
        end: 0,
    };
    const WHAT: &str = "the members of an unfinished AFF4 volume";
    while let Some((entry, end)) = member(source, scanned.end)? {
        account.hold_items::<Entry>(WHAT, 1)?;
        // Names become keys as well.
        account.hold(WHAT, usize_as_u64(entry.name.len()) * 3)?;
        scanned.entries.push(entry);
        scanned.end = end;
    }
    Ok(scanned)
}

/// The member at `offset` and where it ends; `None` if there is no complete one.
fn member(source: &dyn ReadAt, offset: u64) -> Result<Option<(Entry, u64)>, Error> {
    let fits = |end: &u64| *end <= source.len();
    let Some(names) = offset.checked_add(LOCAL_BYTES).filter(fits) else {
        return Ok(None);
    };
    let fixed = bytes(source, offset, LOCAL_BYTES)?;
    let Some(header) = Header::parse(&fixed) else {
        return Ok(None);
    };
    let variable = u64::from(header.name_len) + u64::from(header.extra_len);
    let Some(data) = names.checked_add(variable).filter(fits) else {
        return Ok(None);
    };
    let variable = bytes(source, names, variable)?;
    let mut fields = Fields(&variable);
    let Some(name) = fields.take(usize::from(header.name_len)) else {
        return Ok(None);
    };
    let mut wide = extra(fields.0, EXTRA64);
    let sizes = widened(header.content, &mut wide).zip(widened(header.stored, &mut wide));
    let Some((content_bytes, stored_bytes)) = sizes else {
        return Ok(None);
    };
    let Some(end) = data.checked_add(stored_bytes).filter(fits) else {
        return Ok(None);
    };
    let entry = Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        offset,
        stored_bytes,
        content_bytes,
        crc: header.crc,
        method: header.method,
    };
    Ok(Some((entry, end)))
}

struct Header {
    method: u16,
    crc: u32,
    stored: u32,
    content: u32,
    name_len: u16,
    extra_len: u16,
}

impl Header {
    /// `None` for members whose sizes follow the content, since nothing says where that
    /// ends, and for members that are not stored.
    fn parse(fixed: &[u8]) -> Option<Self> {
        let mut fields = Fields(fixed);
        if fields.u32()? != LOCAL {
            return None;
        }
        fields.take(2)?;
        let flags = fields.u16()?;
        let method = fields.u16()?;
        fields.take(4)?;
        let header = Self {
            method,
            crc: fields.u32()?,
            stored: fields.u32()?,
            content: fields.u32()?,
            name_len: fields.u16()?,
            extra_len: fields.u16()?,
        };
        (flags & 0b1001 == 0 && method == 0).then_some(header)
    }
}
