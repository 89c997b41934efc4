// SPDX-License-Identifier: MIT OR Apache-2.0
//! The note with the evidence: files that lie in the core beside the memory.
//!
//! Owner `LINPMEM`, type 0x4c504d32 ("LPM2"), the last of the notes. Its content is
//! a tar archive, compressed by zstd; this crate does not look into it.

use super::layout;
use super::range_note::NAME;
use crate::{ImageOutput, ReadAt, WriteError};
use std::fmt;
use std::sync::Arc;

/// The note's type. crash looks at types whatever the owner: this one means
/// nothing to it.
pub(super) const TYPE: u32 = 0x4c50_4d32;

/// The most that the note may hold. Readers hold all notes in memory.
pub(super) const MAX_BYTES: u64 = 32 << 20;

/// Bytes that the output gets at a time.
const PIECE_BYTES: usize = 256 << 10;

/// What becomes the note's content.
#[derive(Clone)]
pub(super) struct Content(Arc<dyn ReadAt>);

impl Content {
    pub(super) fn new(archive: Arc<dyn ReadAt>) -> Result<Self, WriteError> {
        if archive.len() > MAX_BYTES {
            return Err(layout::too_big("its evidence passes 32 MiB"));
        }
        Ok(Self(archive))
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Writes all of it, and what fills it up to a multiple of 4.
    pub(super) fn write(&self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let mut piece = vec![0; PIECE_BYTES];
        let mut offset = 0;
        while offset < self.len() {
            let left = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
            piece.truncate(left);
            self.0
                .read_exact_at(offset, &mut piece)
                .map_err(|source| WriteError::Attachment {
                    name: "the evidence".to_owned(),
                    source,
                })?;
            out.bytes(&piece)?;
            offset = offset.saturating_add(layout::bytes(piece.len()));
        }
        let padding = self.len().next_multiple_of(4).saturating_sub(self.len());
        Ok(out.zeros(padding)?)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Content").field(&self.len()).finish()
    }
}

/// Bytes of the note with a content of `len` bytes.
pub(super) fn note_bytes(len: u64) -> Option<u64> {
    layout::note_bytes(NAME.len(), usize::try_from(len).ok()?)
}
