// SPDX-License-Identifier: MIT OR Apache-2.0
//! How to write an AFF4 image, and what to store in it besides the memory.

use super::{Compression, File, HashAlgorithm, LateFiles, Sha256Many, Urn, sha256_many};
use std::fmt;
use std::sync::Arc;

/// How to write an AFF4 image. The same memory and the same options, times included,
/// give the same bytes.
#[derive(Clone)]
pub struct Options {
    /// The URNs of its objects.
    pub urns: Urns,
    /// The clock, read at the beginning and at the end.
    pub clock: Clock,
    /// Name and version of the program that writes the image, such as
    /// `linpmem-dump 1.0`.
    pub tool: String,
    /// The file name of the volume, to be recorded in it.
    pub file_name: Option<String>,
    /// The compression of the chunks.
    pub compression: Compression,
    /// The hashes of every chunk.
    pub block_hashes: Vec<HashAlgorithm>,
    /// How SHA-256 is computed of chunks.
    pub sha256: Sha256Many,
    /// The hashes over the memory at all addresses from 0 to the end of the last range,
    /// including holes. One thread has to compute each of them from front to back.
    pub linear_hashes: Vec<HashAlgorithm>,
    /// The number of chunks of 32 KiB in a segment, 1 to 65,536. Until a segment is full,
    /// the writer keeps the index and the hashes of its chunks.
    pub chunks_in_segment: u32,
    /// Facts about the machine that the plan does not have.
    pub facts: Facts,
    /// The case and the examiner.
    pub case: Case,
    /// Files to store next to the memory.
    pub files: Vec<File>,
    /// Further files, which are set before the image is finished.
    pub late_files: LateFiles,
}

/// The URNs of a volume's objects. Every image needs its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say what they are")]
pub struct Urns {
    pub volume: Urn,
    pub image: Urn,
    pub map: Urn,
    pub stream: Urn,
}

/// A clock that gives the time in UTC as RFC 3339 writes it: `2025-01-31T12:00:00Z`.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> String + Send + Sync>);

/// Facts about the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The physical address of the kernel's top-level page table (CR3 without flags).
    pub page_table: Option<u64>,
    /// The distance in bytes between the addresses at which the kernel runs and those for
    /// which it was linked.
    pub kaslr_offset: Option<u64>,
    /// Bytes of installed RAM.
    pub installed_bytes: Option<u64>,
}

/// The case and the examiner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// The name of the case.
    pub name: Option<String>,
    /// The name of the examiner.
    pub examiner: Option<String>,
    /// Notes.
    pub notes: Option<String>,
}

impl Options {
    /// The defaults: Snappy, SHA-256 of chunks, segments of 64 MiB, no linear hashes, no
    /// files.
    #[must_use]
    pub fn new(urns: Urns, clock: Clock, tool: impl Into<String>) -> Self {
        Self {
            urns,
            clock,
            tool: tool.into(),
            file_name: None,
            compression: Compression::Snappy,
            block_hashes: vec![HashAlgorithm::Sha256],
            sha256: sha256_many,
            linear_hashes: Vec::new(),
            chunks_in_segment: 2048,
            facts: Facts::default(),
            case: Case::default(),
            files: Vec::new(),
            late_files: LateFiles::default(),
        }
    }
}

impl Urns {
    /// Four URNs, each made of its own 16 random bytes.
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
    /// A clock that calls `now`.
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
