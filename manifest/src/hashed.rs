// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the hashes of the file were computed, which can take longer than writing it.

use crate::Stamp;
use serde::{Deserialize, Serialize};

/// How the hashes of the file were computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedRecord {
    /// When the last of them was ready.
    pub ready: Stamp,
    /// What of the file was read back from the disk for them, if anything was.
    #[serde(deserialize_with = "Option::deserialize")]
    pub read_back: Option<ReadBackRecord>,
}

/// A part of the file, up to its end, that was read back from the disk: its hashes are those
/// of what the disk has. It was compared with what had been hashed in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadBackRecord {
    /// Its first byte in the file.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
    /// How it was read.
    pub way: ReadBackWay,
}

/// How a file was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBackWay {
    /// Past the page cache (`O_DIRECT`).
    Direct,
    /// Through the page cache, after the kernel was asked to drop the file's pages from it.
    /// Whether it did is up to the file system; some have no disk at all.
    Cached,
}
