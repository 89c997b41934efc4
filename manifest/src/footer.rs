// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last line: what is known at the end.

use crate::{HashRecord, HashedRecord, Sha256Sum, Stamp};
use serde::{Deserialize, Serialize};

/// What is known at the end of a run. A manifest without it is truncated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footer {
    /// Pages that could not be read, over all ranges.
    pub unreadable_pages: u64,
    /// The SHA-256 of the image that was converted, if all of it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<Sha256Sum>,
    /// The output file as written. In a manifest inside that file, its lengths are 0.
    pub file: FileRecord,
    /// How the hashes of the file were computed; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashed: Option<HashedRecord>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Why the run ended early.
    #[serde(deserialize_with = "Option::deserialize")]
    pub error: Option<String>,
    /// When the run ended.
    pub ended: Stamp,
    /// How the run ended.
    pub state: State,
}

/// The output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of the image before compression.
    pub image_length: u64,
    /// The SHA-256 of the file; null if a write failed, if it was not asked for, or if the
    /// run was stopped before it was ready.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sha256: Option<Sha256Sum>,
    /// Further hashes of the file.
    pub hashes: Vec<HashRecord>,
    /// The Merkle root over the hashes of all chunks.
    pub sha256_tree: Sha256Sum,
    /// The hash over the bytes of the file outside the chunks, as docs/manifest.md describes;
    /// null if chunks are not in the file unchanged.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sha256_remainder: Option<Sha256Sum>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All of it was read and written.
    Complete,
    /// All of it was written; some pages could not be read.
    CompleteWithUnreadable,
    /// A signal or --timeout ended it; `error` says which.
    Interrupted,
    /// An error ended it.
    Failed,
}

impl State {
    /// As in the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::CompleteWithUnreadable => "complete-with-unreadable",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }

    /// Whether the image holds every planned range.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Complete | Self::CompleteWithUnreadable)
    }
}
