// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the members of an archive.

use super::directory::{self, Entry, bytes};
use super::fields::{LOCAL, LOCAL_BYTES};
use crate::aff4::Error;
use crate::aff4::compression::inflate;
use crate::fields::Fields;
use crate::{Account, ReadAt};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::io;
use std::sync::Arc;

/// The largest deflated member to accept, since all of it is kept in memory.
const MAX_INFLATED_BYTES: u64 = 64 << 20;

/// Inflating takes this many times as long as hashing.
const INFLATE_WORK: u64 = 2;

/// An open archive.
pub(in crate::aff4) struct Archive {
    source: Arc<dyn ReadAt>,
    entries: Vec<Entry>,
    repeated: usize,
    comment: Vec<u8>,
}

/// The content of a member.
#[derive(Clone)]
pub(in crate::aff4) enum Member {
    /// Stored in the archive without compression.
    Stored {
        source: Arc<dyn ReadAt>,
        offset: u64,
        len: u64,
    },
    /// Inflated and kept in memory.
    Held(Arc<Vec<u8>>),
}

impl Archive {
    pub(in crate::aff4) fn open(source: Arc<dyn ReadAt>, account: &Account) -> Result<Self, Error> {
        let directory = directory::read(&source, account)?;
        Ok(Self {
            source,
            entries: directory.entries,
            repeated: directory.repeated,
            comment: directory.comment,
        })
    }

    pub(in crate::aff4) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How often the directory lists a member again.
    pub(in crate::aff4) fn repeated(&self) -> usize {
        self.repeated
    }

    /// The comment after the directory, without the zero that some writers append.
    pub(in crate::aff4) fn comment(&self) -> &[u8] {
        let zeros = self.comment.iter().rev().take_while(|&&byte| byte == 0);
        let (text, _) = self.comment.split_at(self.comment.len() - zeros.count());
        text
    }

    /// The content of `entry`. Deflated content is inflated at once, so its size is
    /// limited; stored content is not read yet.
    pub(in crate::aff4) fn member(
        &self,
        entry: &Entry,
        account: &Account,
    ) -> Result<Member, Error> {
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
                    return Err(damaged("is deflated and larger than the supported 64 MiB"));
                }
                let work = entry.content_bytes.saturating_mul(INFLATE_WORK);
                account.work("the compressed members of an AFF4 volume", work)?;
                let deflated = bytes(&self.source, offset, entry.stored_bytes)?;
                inflated(&deflated, entry.content_bytes)
                    .map(|held| Member::Held(Arc::new(held)))
                    .ok_or_else(|| damaged("cannot be inflated to its stated size"))
            }
        }
    }
}

/// Where a member's content begins, in bytes, and whether it is compressed.
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
    let lens =
        local_lens(&header).ok_or_else(|| damaged("has no header where the directory says"))?;
    let offset = entry
        .offset
        .checked_add(LOCAL_BYTES)
        .and_then(|offset| offset.checked_add(lens));
    let end = offset.and_then(|offset| offset.checked_add(entry.stored_bytes));
    let (Some(offset), true) = (offset, end.is_some_and(|end| end <= source.len())) else {
        return Err(damaged(
            "ends beyond the end of the file: the volume is truncated",
        ));
    };
    match entry.method {
        0 if entry.stored_bytes == entry.content_bytes => Ok(Place::Stored(offset)),
        0 => Err(damaged("is stored, but has two different sizes")),
        8 => Ok(Place::Deflated(offset)),
        _ => Err(damaged("is compressed in a way that AFF4 does not define")),
    }
}

/// The whole content of a stored member of at most `most` bytes.
pub(in crate::aff4) fn content(
    source: &dyn ReadAt,
    entry: &Entry,
    most: u64,
) -> Result<Vec<u8>, Error> {
    match place(source, entry)? {
        Place::Stored(offset) if entry.stored_bytes <= most => {
            bytes(source, offset, entry.stored_bytes)
        }
        Place::Stored(_) => Err(damaged(
            entry,
            "is larger than the 256 MiB that fit in memory",
        )),
        Place::Deflated(_) => Err(damaged(
            entry,
            "is deflated, which recovery does not support",
        )),
    }
}

/// Whether the archive has a readable directory.
pub(in crate::aff4) fn has_directory(
    source: &dyn ReadAt,
    account: &Account,
) -> Result<bool, Error> {
    match directory::read(source, account) {
        Ok(_) => Ok(true),
        Err(error @ Error::Budget(_)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// The size of the name and the extra fields together. Those of the local header apply,
/// which may differ from the directory's.
fn local_lens(header: &[u8]) -> Option<u64> {
    let mut fields = Fields(header);
    if fields.u32()? != LOCAL {
        return None;
    }
    fields.take(22)?;
    u64::from(fields.u16()?).checked_add(u64::from(fields.u16()?))
}

/// Inflates to `len` bytes, provided that `deflated` can hold as many.
fn inflated(deflated: &[u8], len: u64) -> Option<Vec<u8>> {
    // Deflate compresses by a factor of at most 1032.
    let possible = deflated.len().checked_mul(1032)?.checked_add(64)?;
    let len = u64_as_usize(len);
    if len > possible {
        return None;
    }
    let mut held = vec![0; len];
    let found = inflate(deflated, &mut held, false)?;
    (found == held.len()).then_some(held)
}

impl Member {
    /// Bytes of memory that the member takes.
    pub(in crate::aff4) fn held(&self) -> usize {
        match self {
            Self::Stored { .. } => 0,
            Self::Held(held) => Vec::len(held),
        }
    }

    /// The whole content, which must not be larger than `most` bytes.
    pub(in crate::aff4) fn read_all(&self, most: u64) -> Result<Vec<u8>, Error> {
        let len = self.len();
        if len > most {
            return Err(Error::TooLarge(
                "a description, map or hash of more than 256 MiB",
            ));
        }
        let mut held = vec![0; u64_as_usize(len)];
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
                let end = within.checked_add(usize_as_u64(buf.len()));
                match (end, offset.checked_add(within)) {
                    (Some(end), Some(from)) if end <= *len => source.read_exact_at(from, buf),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
            Self::Held(held) => held.as_slice().read_exact_at(within, buf),
        }
    }
}
