// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an archive's members.

use super::directory::{self, Entry, bytes};
use super::fields::{Fields, LOCAL, LOCAL_BYTES};
use crate::ReadAt;
use crate::aff4::Error;
use crate::aff4::compression::inflate;
use std::io;
use std::sync::Arc;

/// The most that a deflated member may have: all of it is held.
const MAX_INFLATED_BYTES: u64 = 64 << 20;

/// An archive, opened.
pub(in crate::aff4) struct Archive {
    source: Arc<dyn ReadAt>,
    entries: Vec<Entry>,
    comment: Vec<u8>,
}

/// The content of a member.
#[derive(Clone)]
pub(in crate::aff4) enum Member {
    /// As it lies in the archive.
    Stored {
        source: Arc<dyn ReadAt>,
        offset: u64,
        len: u64,
    },
    /// Inflated.
    Held(Arc<Vec<u8>>),
}

impl Archive {
    pub(in crate::aff4) fn open(source: Arc<dyn ReadAt>) -> Result<Self, Error> {
        let directory = directory::read(&source)?;
        Ok(Self {
            source,
            entries: directory.entries,
            comment: directory.comment,
        })
    }

    pub(in crate::aff4) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What stands behind the directory, without the NUL that some writers append.
    pub(in crate::aff4) fn comment(&self) -> &[u8] {
        let end = self
            .comment
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last.saturating_add(1));
        self.comment.get(..end).unwrap_or_default()
    }

    /// The content of `entry`. Deflated content is inflated here, so its size is
    /// bounded; stored content is only looked up.
    pub(in crate::aff4) fn member(&self, entry: &Entry) -> Result<Member, Error> {
        let place = place(&self.source, entry)?;
        let damaged = |what| damaged(entry, what);
        match place {
            Place::Stored(offset) => Ok(Member::Stored {
                source: Arc::clone(&self.source),
                offset,
                len: entry.stored_bytes,
            }),
            Place::Deflated(offset) => {
                let most = MAX_INFLATED_BYTES;
                if entry.content_bytes > most || entry.stored_bytes > most {
                    return Err(damaged("is deflated and too large to be inflated"));
                }
                let deflated = bytes(&self.source, offset, entry.stored_bytes)?;
                inflated(&deflated, entry.content_bytes)
                    .map(|held| Member::Held(Arc::new(held)))
                    .ok_or_else(|| damaged("does not inflate to the length that it says"))
            }
        }
    }
}

/// Where a member's bytes lie, and what they are.
enum Place {
    Stored(u64),
    Deflated(u64),
}

fn damaged(entry: &Entry, what: &'static str) -> Error {
    Error::Member {
        name: entry.name.clone(),
        what,
    }
}

fn place(source: &dyn ReadAt, entry: &Entry) -> Result<Place, Error> {
    let damaged = |what| damaged(entry, what);
    let header = bytes(source, entry.offset, LOCAL_BYTES)?;
    let lens = local_lens(&header).ok_or_else(|| damaged("has no header where it should"))?;
    let offset = entry
        .offset
        .checked_add(LOCAL_BYTES)
        .and_then(|offset| offset.checked_add(lens));
    let end = offset.and_then(|offset| offset.checked_add(entry.stored_bytes));
    let (Some(offset), true) = (offset, end.is_some_and(|end| end <= source.len())) else {
        return Err(damaged("reaches beyond the end of the file"));
    };
    match entry.method {
        0 if entry.stored_bytes == entry.content_bytes => Ok(Place::Stored(offset)),
        0 => Err(damaged("is stored, but has two lengths")),
        8 => Ok(Place::Deflated(offset)),
        _ => Err(damaged("is compressed in a way that AFF4 does not have")),
    }
}

/// All of a stored member of at most `most` bytes, without an archive.
pub(in crate::aff4) fn content(
    source: &dyn ReadAt,
    entry: &Entry,
    most: u64,
) -> Result<Vec<u8>, Error> {
    match place(source, entry)? {
        Place::Stored(offset) if entry.stored_bytes <= most => {
            bytes(source, offset, entry.stored_bytes)
        }
        Place::Stored(_) => Err(Error::TooLarge("a member")),
        Place::Deflated(_) => Err(damaged(entry, "is deflated, which is not done here")),
    }
}

/// Whether an archive has a directory that can be read.
pub(in crate::aff4) fn has_directory(source: &dyn ReadAt) -> bool {
    directory::read(source).is_ok()
}

/// The sum of the lengths of name and extra fields: those of the local header
/// count, and may differ from the directory's.
fn local_lens(header: &[u8]) -> Option<u64> {
    let mut fields = Fields(header);
    if fields.u32()? != LOCAL {
        return None;
    }
    fields.take(22)?;
    u64::from(fields.u16()?).checked_add(u64::from(fields.u16()?))
}

/// The memory grows with what really comes out, and not with what is promised.
fn inflated(deflated: &[u8], len: u64) -> Option<Vec<u8>> {
    // Deflate gains at most 1032 times.
    let possible = u64::try_from(deflated.len()).ok()?.saturating_mul(1032);
    if len > possible.saturating_add(64) {
        return None;
    }
    let mut held = vec![0; usize::try_from(len).ok()?];
    let found = inflate(deflated, &mut held, false)?;
    (found == held.len()).then_some(held)
}

impl Member {
    /// Bytes of memory that it takes.
    pub(in crate::aff4) fn held(&self) -> usize {
        match self {
            Self::Stored { .. } => 0,
            Self::Held(held) => Vec::len(held),
        }
    }

    /// All of it, if it is not longer than `most` bytes.
    pub(in crate::aff4) fn read_all(&self, most: u64) -> Result<Vec<u8>, Error> {
        let len = self.len();
        let (true, Ok(size)) = (len <= most, usize::try_from(len)) else {
            return Err(Error::TooLarge("a member"));
        };
        let mut held = vec![0; size];
        self.read_exact_at(0, &mut held)?;
        Ok(held)
    }
}

impl ReadAt for Member {
    fn len(&self) -> u64 {
        match self {
            Self::Stored { len, .. } => *len,
            Self::Held(held) => ReadAt::len(held.as_slice()),
        }
    }

    fn read_exact_at(&self, within: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Stored {
                source,
                offset,
                len,
            } => {
                let size = u64::try_from(buf.len()).unwrap_or(u64::MAX);
                match (within.checked_add(size), offset.checked_add(within)) {
                    (Some(end), Some(from)) if end <= *len => source.read_exact_at(from, buf),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
            Self::Held(held) => held.as_slice().read_exact_at(within, buf),
        }
    }
}
