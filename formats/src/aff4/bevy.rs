// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing the segments of a stream, which AFF4 calls bevies.

use super::digest::{Digest, Hasher};
use super::encoder::{BLOCK, BLOCK_BYTES};
use super::urn::member_name;
use super::zip::ZipStream;
use super::{HashAlgorithm, Urns};
use crate::{ImageOutput, WriteError};
use linpmem_phys::num::{u32_as_usize, usize_as_u64};

/// A stream being written. It keeps one segment in memory.
#[derive(Debug)]
pub(super) struct StreamBuilder {
    base: String,
    chunks_in_segment: u32,
    /// The number of segments written.
    segments: u64,
    /// The number of blocks in the segment in memory.
    held: u32,
    bytes: Vec<u8>,
    /// The checksum of `bytes`, computed while they are in the processor's cache.
    crc: crc32fast::Hasher,
    index: Vec<u8>,
    hashes: Vec<BlockHashes>,
    /// The hash over all indexes.
    index_hash: Hasher,
}

/// The memory to reserve for a segment of this many chunks; larger segments grow.
fn reserved(chunks: u32) -> usize {
    const USUAL_CHUNKS: u32 = 2048;
    u32_as_usize(chunks.min(USUAL_CHUNKS)) * BLOCK
}

/// The hashes of the blocks by one algorithm.
#[derive(Debug)]
struct BlockHashes {
    algorithm: HashAlgorithm,
    digests: Vec<u8>,
    /// The hash over the digests of all segments.
    hash: Hasher,
}

/// What the description says about the whole stream.
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
            chunks_in_segment: chunks,
            segments: 0,
            held: 0,
            bytes: Vec::new(),
            crc: crc32fast::Hasher::new(),
            index: Vec::new(),
            hashes: hashes.collect(),
            index_hash: HashAlgorithm::Sha512.hasher(),
        }
    }

    /// Where the next block begins in the stream, in bytes. All of the stream has been
    /// in memory, so the offset fits 64 bits.
    pub(super) fn next_offset(&self) -> u64 {
        let blocks = self.segments * u64::from(self.chunks_in_segment) + u64::from(self.held);
        blocks * u64::from(BLOCK_BYTES)
    }

    /// The number of segments written.
    pub(super) fn segments(&self) -> u64 {
        self.segments
    }

    /// Adds a block with its digests, one per algorithm. Returns whether the segment is
    /// full now and has to be flushed.
    pub(super) fn push(&mut self, digests: &[u8], bytes: &[u8]) -> Result<bool, WriteError> {
        if self.bytes.capacity() == 0 {
            // All at once, since growing in steps needs up to twice the memory.
            self.bytes.reserve_exact(reserved(self.chunks_in_segment));
        }
        let len = u32::try_from(bytes.len())
            .map_err(|_| WriteError::Misuse("a block takes more than 4 GiB"))?;
        let offset = usize_as_u64(self.bytes.len());
        self.index.extend(offset.to_le_bytes());
        self.index.extend(len.to_le_bytes());
        self.bytes.extend_from_slice(bytes);
        self.crc.update(bytes);
        let mut rest = digests;
        for hashes in &mut self.hashes {
            let (digest, tail) = rest
                .split_at_checked(hashes.algorithm.digest_bytes())
                .ok_or(WriteError::Misuse("a block has too few digests"))?;
            hashes.digests.extend_from_slice(digest);
            rest = tail;
        }
        self.held += 1;
        Ok(self.held == self.chunks_in_segment)
    }

    /// Writes the segment in memory, unless it is empty.
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
        self.segments += 1;
        Ok(())
    }

    /// What the description says about the stream, after the last flush.
    pub(super) fn summary(&self, size: u64) -> StreamSummary {
        StreamSummary {
            size,
            index_hash: self.index_hash.clone().finish(),
            // A stream without blocks has no members with hashes, and so no hashes over
            // them.
            block_hashes: self
                .hashes
                .iter()
                .filter(|_| size > 0)
                .map(|hashes| (hashes.algorithm, hashes.hash.clone().finish()))
                .collect(),
        }
    }
}
