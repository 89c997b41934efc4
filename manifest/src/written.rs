// SPDX-License-Identifier: MIT OR Apache-2.0
//! When all memory was in the image, and what the file is like from then on.

use crate::{FileRecord, Footer, ReadSpan, Sha256Sum, Stamp, State};
use serde::{Deserialize, Serialize};

/// The image is whole and synced to the disk: from here on, its file does not change. What
/// follows are a second pass and the hashes that have yet to be computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRecord {
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of the image before compression.
    pub image_length: u64,
    /// The Merkle root over the hashes of all chunks.
    pub sha256_tree: Sha256Sum,
    /// The hash over the bytes of the file outside the chunks; null if chunks are not in the
    /// file unchanged.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sha256_remainder: Option<Sha256Sum>,
    /// Pages that could not be read, over all ranges.
    pub unreadable_pages: u64,
    /// When memory was read: from before the first page to after the last.
    pub read_us: ReadSpan,
    /// When the file was on the disk.
    pub synced: Stamp,
}

impl WrittenRecord {
    /// The last line of a manifest that ends here, because the run was killed while it
    /// hashed the file: the image is whole.
    #[must_use]
    pub fn footer(&self, warnings: Vec<String>, ended: Stamp) -> Footer {
        Footer {
            unreadable_pages: self.unreadable_pages,
            source_sha256: None,
            file: FileRecord {
                length: self.length,
                image_length: self.image_length,
                sha256: None,
                hashes: Vec::new(),
                sha256_tree: self.sha256_tree,
                sha256_remainder: self.sha256_remainder,
            },
            hashed: None,
            warnings,
            error: None,
            ended,
            state: match self.unreadable_pages {
                0 => State::Complete,
                _ => State::CompleteWithUnreadable,
            },
        }
    }
}
