// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding members without a directory, by their local headers.

use super::directory::{Entry, bytes};
use super::fields::{
    CENTRAL, DESCRIPTOR, DESCRIPTOR_BYTES, EXTRA64, LOCAL, LOCAL_BYTES, SIZES_FOLLOW, extra,
    widened,
};
use crate::aff4::Error;
use crate::fields::Fields;
use crate::{Account, ReadAt};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// The members that were found.
#[derive(Debug)]
pub(in crate::aff4) struct Scanned {
    /// The complete members, in file order.
    pub(in crate::aff4) entries: Vec<Entry>,
    /// Where the last of them ends, in bytes.
    pub(in crate::aff4) end: u64,
}

/// What members are called where they exceed a budget.
const WHAT: &str = "the members of an unfinished AFF4 volume";
/// Bytes to search at a time for the end of a member.
const PIECE_BYTES: u64 = 1 << 20;

/// Walks over the members from the beginning of the file on, until one is incomplete or
/// something else follows.
pub(in crate::aff4) fn scan(source: &dyn ReadAt, account: &Account) -> Result<Scanned, Error> {
    let mut scanned = Scanned {
        entries: Vec::new(),
        end: 0,
    };
    while let Some((entry, end)) = member(source, scanned.end, account)? {
        account.hold_items::<Entry>(WHAT, 1)?;
        // Names become keys as well.
        account.hold(WHAT, usize_as_u64(entry.name.len()) * 3)?;
        scanned.entries.push(entry);
        scanned.end = end;
    }
    Ok(scanned)
}

/// The member at `offset` and where it ends; `None` if there is no complete one.
fn member(
    source: &dyn ReadAt,
    offset: u64,
    account: &Account,
) -> Result<Option<(Entry, u64)>, Error> {
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
    let is_wide = wide.is_some();
    let sizes = widened(header.content, &mut wide).zip(widened(header.stored, &mut wide));
    let Some((content_bytes, stored_bytes)) = sizes else {
        return Ok(None);
    };
    let mut entry = Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        offset,
        stored_bytes,
        content_bytes,
        crc: header.crc,
        method: header.method,
        is_streamed: header.is_streamed,
    };
    if header.is_streamed {
        // Only with 64-bit sizes is the descriptor the one that is searched for.
        if !is_wide {
            return Ok(None);
        }
        let Some(found) = Descriptor::behind(source, data, account)? else {
            return Ok(None);
        };
        entry.crc = found.crc;
        entry.stored_bytes = found.len;
        entry.content_bytes = found.len;
        return Ok(Some((entry, found.end)));
    }
    let end = data.checked_add(stored_bytes).filter(fits);
    Ok(end.map(|end| (entry, end)))
}

/// What follows the content of a streamed member.
struct Descriptor {
    crc: u32,
    /// The size of the content.
    len: u64,
    /// Where the descriptor ends.
    end: u64,
}

impl Descriptor {
    /// The descriptor of the member whose content begins at `data`. The content may hold
    /// anything, so what looks like one has to state the right size and checksum, and
    /// another member has to follow.
    fn behind(source: &dyn ReadAt, data: u64, account: &Account) -> Result<Option<Self>, Error> {
        let mut crc = crc32fast::Hasher::new();
        let mut at = data;
        // Where a descriptor can begin at the latest.
        let Some(last) = source.len().checked_sub(DESCRIPTOR_BYTES) else {
            return Ok(None);
        };
        while at <= last {
            let step = PIECE_BYTES.min(last - at + 1);
            account.work(WHAT, step)?;
            // A descriptor may begin with the last byte of the step.
            let piece = bytes(source, at, step + DESCRIPTOR_BYTES - 1)?;
            let (searched, _) = piece.split_at(u64_as_usize(step));
            let mut hashed = 0;
            for (within, _) in (0..).zip(searched).filter(|(_, byte)| **byte == b'P') {
                let Some(rest) = piece.get(within..) else {
                    break;
                };
                let len = at - data + usize_as_u64(within);
                let Some(stated) = Self::stated(rest, len) else {
                    continue;
                };
                if let Some(fresh) = piece.get(hashed..within) {
                    crc.update(fresh);
                    hashed = within;
                }
                let end = data + len + DESCRIPTOR_BYTES;
                if crc.clone().finalize() == stated && is_followed(source, end)? {
                    let crc = stated;
                    return Ok(Some(Self { crc, len, end }));
                }
            }
            if let Some(fresh) = searched.get(hashed..) {
                crc.update(fresh);
            }
            at += step;
        }
        Ok(None)
    }

    /// The checksum in the descriptor that `bytes` begins with, if it is one of content of
    /// `len` bytes.
    fn stated(bytes: &[u8], len: u64) -> Option<u32> {
        let mut fields = Fields(bytes);
        if fields.u32()? != DESCRIPTOR {
            return None;
        }
        let crc = fields.u32()?;
        (fields.u64()? == len && fields.u64()? == len).then_some(crc)
    }
}

/// Whether a member or the directory begins at `offset`, or the file ends there.
fn is_followed(source: &dyn ReadAt, offset: u64) -> Result<bool, Error> {
    let left = source.len().saturating_sub(offset).min(4);
    let found = bytes(source, offset, left)?;
    let is_begun = |signature: u32| signature.to_le_bytes().starts_with(&found);
    Ok(is_begun(LOCAL) || is_begun(CENTRAL))
}

struct Header {
    is_streamed: bool,
    method: u16,
    crc: u32,
    stored: u32,
    content: u32,
    name_len: u16,
    extra_len: u16,
}

impl Header {
    /// `None` for members that are not stored, or encrypted.
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
            is_streamed: flags & SIZES_FOLLOW != 0,
            method,
            crc: fields.u32()?,
            stored: fields.u32()?,
            content: fields.u32()?,
            name_len: fields.u16()?,
            extra_len: fields.u16()?,
        };
        (flags & 1 == 0 && method == 0).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::ZipStream;
    use super::*;
    use crate::{Budget, ImageOutput, StreamOutput};

    /// What a descriptor for `content` looks like.
    fn descriptor(content: &[u8], crc: u32) -> Vec<u8> {
        let len = usize_as_u64(content.len()).to_le_bytes();
        [
            &DESCRIPTOR.to_le_bytes()[..],
            &crc.to_le_bytes(),
            &len,
            &len,
        ]
        .concat()
    }

    /// A streamed member with `content`, and one after it.
    fn archive(content: &[u8]) -> (Vec<u8>, usize) {
        let mut out = StreamOutput::new(Vec::new());
        let mut zip = ZipStream::default();
        let member = zip.begin_streamed("streamed", &mut out).unwrap();
        out.bytes(content).unwrap();
        let len = usize_as_u64(content.len());
        zip.end_streamed(member, len, crc32fast::hash(content), &mut out)
            .unwrap();
        let end = u64_as_usize(out.position());
        zip.member("next", b"content", &mut out).unwrap();
        (out.into_inner(), end)
    }

    fn found(bytes: &[u8]) -> Vec<(String, u64)> {
        let account = Budget::default().open(bytes);
        let entries = scan(&bytes, &account).unwrap().entries.into_iter();
        entries
            .map(|entry| (entry.name, entry.stored_bytes))
            .collect()
    }

    /// Memory may hold anything, a zip file for example, or what was made to mislead.
    #[test]
    fn a_member_of_unknown_size_ends_at_its_own_descriptor() {
        let noise: Vec<u8> = (0..70_000_u32)
            .map(|n| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        let crc = crc32fast::hash(&noise);
        // The size is wrong, the checksum is wrong, and nothing follows.
        let mut content = noise.clone();
        content.extend(descriptor(&noise[1..], crc));
        content.extend(b"PK\x03\x04");
        let so_far = content.clone();
        content.extend(descriptor(&so_far, !crc32fast::hash(&so_far)));
        content.extend(b"PK\x03\x04");
        let so_far = content.clone();
        content.extend(descriptor(&so_far, crc32fast::hash(&so_far)));
        content.extend(b"PK\x03\x05");
        for content in [&content[..], b"", b"P", b"PK\x07\x08"] {
            let (bytes, end) = archive(content);
            let len = usize_as_u64(content.len());
            let streamed = ("streamed".to_owned(), len);
            let both = vec![streamed.clone(), ("next".to_owned(), 7)];
            assert_eq!(found(&bytes), both, "{len}");
            assert_eq!(found(&bytes[..end]), [streamed], "{len}");
            assert_eq!(found(&bytes[..end - 1]), [], "{len}");
        }
    }

    #[test]
    fn a_descriptor_across_two_pieces_is_found() {
        for less in 0..26 {
            let content = vec![b'P'; u64_as_usize(PIECE_BYTES) - less];
            let (bytes, _) = archive(&content);
            assert_eq!(found(&bytes).len(), 2, "{less}");
        }
    }
}
