// SPDX-License-Identifier: MIT OR Apache-2.0
//! Artifacts: files that are stored in the core next to the memory.
//!
//! They are a tar archive compressed with zstd, which this crate does not look into: the
//! content of a note, owner `LINPMEM`, type 0x4c504d32 ("LPM2"), the last of the notes; or
//! what follows the memory, up to the end of the file. Then a note of type 0x4c504d33
//! ("LPM3") has its offset, which the plan determines, so that the archive can be made when
//! all memory has been written.

use super::layout;
use crate::{ImageOutput, ReadAt, WriteError};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The note's type. crash checks only the type, not the owner; this one means nothing to
/// it.
pub(super) const TYPE: u32 = 0x4c50_4d32;

/// The type of the note with the offset of what follows the memory: 8 bytes, little-endian.
pub(super) const TAIL_TYPE: u32 = 0x4c50_4d33;

/// Bytes of that offset.
pub(super) const TAIL_BYTES: u64 = 8;

/// The most bytes of artifacts that the notes of a core hold. Readers keep all notes in memory.
pub const MAX_ARTIFACTS_BYTES: u64 = 32 << 20;

/// Bytes given to the output at a time.
const PIECE_BYTES: usize = 256 << 10;

/// An archive that does not exist yet: it is written behind the memory, if it is set by then.
#[derive(Clone, Default)]
pub struct Tail(Arc<OnceLock<Arc<dyn ReadAt>>>);

impl Tail {
    /// Sets the archive, once.
    pub fn set(&self, archive: Arc<dyn ReadAt>) {
        let _ = self.0.set(archive);
    }

    pub(super) fn content(&self) -> Option<Content> {
        self.0.get().cloned().map(Content)
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tail").field(&self.content()).finish()
    }
}

/// An archive.
#[derive(Clone)]
pub(super) struct Content(Arc<dyn ReadAt>);

impl Content {
    pub(super) fn new(archive: Arc<dyn ReadAt>) -> Result<Self, WriteError> {
        if archive.len() > MAX_ARTIFACTS_BYTES {
            return Err(layout::too_big(
                "its artifacts are larger than 32 MiB; collect fewer",
            ));
        }
        Ok(Self(archive))
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Writes the content, padded to a multiple of 4.
    pub(super) fn write_padded(&self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.write(out)?;
        let len = self.len();
        Ok(out.zeros(len.next_multiple_of(4) - len)?)
    }

    /// Writes the content.
    pub(super) fn write(&self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let len = self.len();
        let mut piece = vec![0; PIECE_BYTES];
        let mut offset = 0;
        while offset < len {
            piece.truncate(u64_as_usize(len - offset));
            self.0
                .read_exact_at(offset, &mut piece)
                .map_err(|source| WriteError::Attachment {
                    name: "the archive of artifacts".to_owned(),
                    source,
                })?;
            out.bytes(&piece)?;
            offset += usize_as_u64(piece.len());
        }
        Ok(())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Content").field(&self.len()).finish()
    }
}
