// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an AFF4 image is to be like, and what it is to tell beside its memory.

use super::{Compression, File, HashAlgorithm, Urn};
use std::fmt;
use std::sync::Arc;

/// How an AFF4 image is written. Two images of the same memory with the same
/// options are the same to the byte.
#[derive(Clone)]
pub struct Options {
    /// The names of its objects.
    pub urns: Urns,
    /// What time it is, asked at the beginning and at the end.
    pub clock: Clock,
    /// Name and version of the program that writes, as in `linpmem-dump 1.0`.
    pub tool: String,
    /// The name under which the volume is stored, for the record.
    pub file_name: Option<String>,
    /// Compression of the chunks.
    pub compression: Compression,
    /// Hashes of every chunk.
    pub block_hashes: Vec<HashAlgorithm>,
    /// Hashes over all addresses from 0 to the last range's end, holes included.
    pub linear_hashes: Vec<HashAlgorithm>,
    /// Chunks in a segment. All of a segment is held until it is complete.
    pub chunks_in_segment: u32,
    /// What is known of the machine, beside what the plan tells.
    pub facts: Facts,
    /// What the examiner says.
    pub case: Case,
    /// Files that lie in the volume beside the memory.
    pub files: Vec<File>,
}

/// The names of a volume's objects. Each image has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say what they are")]
pub struct Urns {
    pub volume: Urn,
    pub image: Urn,
    pub map: Urn,
    pub stream: Urn,
}

/// Tells the time as RFC 3339 writes it, in UTC: `2025-01-31T12:00:00Z`.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> String + Send + Sync>);

/// Facts of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The physical address of the kernel's page table (CR3 without its flags).
    pub page_table: Option<u64>,
    /// How far the kernel lies from where it was linked to.
    pub kaslr_offset: Option<u64>,
    /// Bytes of RAM.
    pub installed_bytes: Option<u64>,
}

/// What the examiner says of the case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// Which case.
    pub name: Option<String>,
    /// Who.
    pub examiner: Option<String>,
    /// What else.
    pub notes: Option<String>,
}

impl Options {
    /// The default: snappy, SHA-256 of chunks and of everything, segments of 64 MiB.
    #[must_use]
    pub fn new(urns: Urns, clock: Clock, tool: impl Into<String>) -> Self {
        Self {
            urns,
            clock,
            tool: tool.into(),
            file_name: None,
            compression: Compression::Snappy,
            block_hashes: vec![HashAlgorithm::Sha256],
            linear_hashes: vec![HashAlgorithm::Sha256],
            chunks_in_segment: 2048,
            facts: Facts::default(),
            case: Case::default(),
            files: Vec::new(),
        }
    }
}

impl Urns {
    /// Four names, each of its own 16 random bytes.
    #[must_use]
    pub fn from_random(random: [[u8; 16]; 4]) -> Self {
        let [volume, image, map, stream] = random.map(Urn::from_random);
        Self {
            volume,
            image,
            map,
            stream,
        }
    }
}

impl Clock {
    /// A clock that `now` reads.
    #[must_use]
    pub fn new(now: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(super) fn now(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("urns", &self.urns)
            .field("compression", &self.compression)
            .field("block_hashes", &self.block_hashes)
            .field("linear_hashes", &self.linear_hashes)
            .finish_non_exhaustive()
    }
}
