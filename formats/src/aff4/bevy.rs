// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments of a stream ("bevies"), as they are written.

use super::digest::{Digest, Hasher};
use super::encoder::BLOCK_BYTES;
use super::urn::member_name;
use super::zip::ZipStream;
use super::{HashAlgorithm, Urns};
use crate::{ImageOutput, WriteError};

/// A stream in the making. It holds one segment.
#[derive(Debug)]
pub(super) struct StreamBuilder {
    base: String,
    chunks_in_segment: u32,
    /// Segments that went out.
    segments: u64,
    /// Blocks in the one that is held.
    held: u32,
    bytes: Vec<u8>,
    /// Over `bytes`, made while they are in the processor's cache.
    crc: crc32fast::Hasher,
    index: Vec<u8>,
    hashes: Vec<BlockHashes>,
    /// Over all indexes.
    index_hash: Hasher,
}

/// What a segment of so many chunks can take, up to that of a usual one.
fn reserved(chunks: u32) -> usize {
    const USUAL_CHUNKS: u32 = 2048;
    let bytes = chunks.min(USUAL_CHUNKS).saturating_mul(BLOCK_BYTES);
    usize::try_from(bytes).unwrap_or(0)
}

/// The digests of blocks by one algorithm.
#[derive(Debug)]
struct BlockHashes {
    algorithm: HashAlgorithm,
    digests: Vec<u8>,
    /// Over those of all segments.
    hash: Hasher,
}

/// What is said of a whole stream.
#[derive(Debug)]
pub(super) struct StreamSummary {
    pub(super) size: u64,
    pub(super) index_hash: Digest,
    pub(super) block_hashes: Vec<(HashAlgorithm, Digest)>,
}

impl StreamBuilder {
    pub(super) fn new(urns: &Urns, algorithms: &[HashAlgorithm], chunks: u32) -> Self {
        let hashes = algorithms.iter().map(|&algorithm| BlockHashes {
            algorithm,
            digests: Vec::new(),
            hash: HashAlgorithm::Sha512.hasher(),
        });
        Self {
            base: member_name(urns.volume.as_str(), urns.stream.as_str()),
            chunks_in_segment: chunks.max(1),
            segments: 0,
            held: 0,
            bytes: Vec::new(),
            crc: crc32fast::Hasher::new(),
            index: Vec::new(),
            hashes: hashes.collect(),
            index_hash: HashAlgorithm::Sha512.hasher(),
        }
    }

    /// Where the next block will begin in the stream.
    pub(super) fn next_offset(&self) -> u64 {
        self.segments
            .saturating_mul(u64::from(self.chunks_in_segment))
            .saturating_add(u64::from(self.held))
            .saturating_mul(u64::from(BLOCK_BYTES))
    }

    /// Segments that went out.
    pub(super) fn segments(&self) -> u64 {
        self.segments
    }

    /// Adds a block, and says whether the segment is now full and to be written.
    pub(super) fn push(&mut self, digests: &[u8], bytes: &[u8]) -> bool {
        if self.bytes.capacity() == 0 {
            // At once: what grows in steps lies in memory twice, and more, meanwhile.
            self.bytes.reserve_exact(reserved(self.chunks_in_segment));
        }
        let offset = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.index.extend(offset.to_le_bytes());
        self.index.extend(len.to_le_bytes());
        self.bytes.extend_from_slice(bytes);
        self.crc.update(bytes);
        let mut rest = digests;
        for hashes in &mut self.hashes {
            let (digest, tail) = rest.split_at(rest.len().min(hashes.algorithm.digest_bytes()));
            hashes.digests.extend_from_slice(digest);
            rest = tail;
        }
        self.held = self.held.saturating_add(1);
        self.held == self.chunks_in_segment
    }

    /// Writes the segment that is held, if there is something in it.
    pub(super) fn flush(
        &mut self,
        zip: &mut ZipStream,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        if self.held == 0 {
            return Ok(());
        }
        let name = format!("{}/{:08}", self.base, self.segments);
        let crc = std::mem::take(&mut self.crc).finalize();
        zip.member_of(&name, crc, &[&self.bytes], out)?;
        zip.member(&format!("{name}.index"), &[&self.index], out)?;
        self.index_hash.update(&self.index);
        for hashes in &mut self.hashes {
            let name = format!("{name}.blockHash.{}", hashes.algorithm);
            zip.member(&name, &[&hashes.digests], out)?;
            hashes.hash.update(&hashes.digests);
            hashes.digests.clear();
        }
        self.bytes.clear();
        self.index.clear();
        self.held = 0;
        self.segments = self.segments.saturating_add(1);
        Ok(())
    }

    /// What is said of the stream, after the last flush.
    pub(super) fn summary(&self, size: u64) -> StreamSummary {
        StreamSummary {
            size,
            index_hash: self.index_hash.clone().finish(),
            // Of a stream without a block there are no hashes, not hashes of nothing:
            // readers find them by their members.
            block_hashes: self
                .hashes
                .iter()
                .filter(|_| size > 0)
                .map(|hashes| (hashes.algorithm, hashes.hash.clone().finish()))
                .collect(),
        }
    }
}
