// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing the segments of a stream, which AFF4 calls bevies.

use super::digest::{Digest, Hasher};
use super::encoder::BLOCK_BYTES;
use super::urn::member_name;
use super::zip::{Family, Name, OpenMember, ZipStream};
use super::{HashAlgorithm, Urns};
use crate::{ImageOutput, WriteError};
use bytes::Bytes;
use std::ops::Range;

/// A stream being written. Blocks go to the output as they come; index and hashes of the
/// segment are kept until it is full.
#[derive(Debug)]
pub(super) struct StreamBuilder {
    chunks_in_segment: u32,
    /// The number of segments written.
    segments: u64,
    /// The number of blocks in the open segment.
    held: u32,
    /// The open segment's member, once it has a block.
    member: Option<OpenMember>,
    /// Bytes in it, and their checksum.
    len: u64,
    crc: crc32fast::Hasher,
    /// Its last bytes, which are not in the output yet: more may follow them.
    pending: Option<Pending>,
    index: Vec<u8>,
    hashes: Vec<BlockHashes>,
    /// The hash over all indexes.
    index_hash: Hasher,
    names: Names,
}

/// A part of an encoded piece of memory.
#[derive(Debug)]
struct Pending {
    encoded: Bytes,
    part: Range<usize>,
}

/// The names of a segment's members.
#[derive(Debug)]
struct Names {
    bytes: Family,
    index: Family,
}

/// The hashes of the blocks by one algorithm.
#[derive(Debug)]
struct BlockHashes {
    algorithm: HashAlgorithm,
    name: Family,
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
    pub(super) fn new(
        urns: &Urns,
        algorithms: &[HashAlgorithm],
        chunks: u32,
        zip: &mut ZipStream,
    ) -> Self {
        let base = member_name(urns.volume.as_str(), urns.stream.as_str());
        let mut family = |after: String| zip.family(format!("{base}/"), after);
        let names = Names {
            bytes: family(String::new()),
            index: family(".index".to_owned()),
        };
        let hashes = algorithms.iter().map(|&algorithm| BlockHashes {
            algorithm,
            name: family(format!(".blockHash.{algorithm}")),
            digests: Vec::new(),
            hash: HashAlgorithm::Sha512.hasher(),
        });
        Self {
            chunks_in_segment: chunks,
            segments: 0,
            held: 0,
            member: None,
            len: 0,
            crc: crc32fast::Hasher::new(),
            pending: None,
            index: Vec::new(),
            hashes: hashes.collect(),
            index_hash: HashAlgorithm::Sha512.hasher(),
            names,
        }
    }

    /// Where the next block begins in the stream, in bytes. The stream is part of a 64-bit
    /// address space, so the offset fits 64 bits.
    pub(super) fn next_offset(&self) -> u64 {
        let blocks = self.segments * u64::from(self.chunks_in_segment) + u64::from(self.held);
        blocks * u64::from(BLOCK_BYTES)
    }

    /// The number of segments written.
    pub(super) fn segments(&self) -> u64 {
        self.segments
    }

    /// Adds the block that is at `stored` of `encoded`, with its checksum and its digests, one
    /// per algorithm. Returns whether the segment is full now and has to be flushed.
    pub(super) fn push(
        &mut self,
        block: (&[u8], u32, Range<usize>),
        encoded: &Bytes,
        zip: &mut ZipStream,
        out: &mut dyn ImageOutput,
    ) -> Result<bool, WriteError> {
        let (digests, crc, stored) = block;
        let too_long = |_| WriteError::Misuse("a block takes more than 4 GiB");
        let len = u32::try_from(stored.len()).map_err(too_long)?;
        if self.member.is_none() {
            let name = Name::Numbered(self.names.bytes, self.segments);
            self.member = Some(zip.begin_streamed(name, out)?);
        }
        self.index.extend(self.len.to_le_bytes());
        self.index.extend(len.to_le_bytes());
        self.len += u64::from(len);
        self.crc.combine(&crc32fast::Hasher::new_with_initial_len(
            crc,
            u64::from(len),
        ));
        let mut rest = digests;
        for hashes in &mut self.hashes {
            let (digest, tail) = rest
                .split_at_checked(hashes.algorithm.digest_bytes())
                .ok_or(WriteError::Misuse("a block has too few digests"))?;
            hashes.digests.extend_from_slice(digest);
            rest = tail;
        }
        match &mut self.pending {
            Some(Pending {
                encoded: before,
                part,
            }) if before.as_ptr() == encoded.as_ptr() && part.end == stored.start => {
                part.end = stored.end;
            }
            _ => {
                self.write_pending(out)?;
                self.pending = Some(Pending {
                    encoded: encoded.clone(),
                    part: stored,
                });
            }
        }
        self.held += 1;
        Ok(self.held == self.chunks_in_segment)
    }

    /// Writes what is left of the last piece of memory.
    pub(super) fn write_pending(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let Some(Pending { encoded, part }) = self.pending.take() else {
            return Ok(());
        };
        if part.end > encoded.len() {
            return Err(WriteError::Misuse("a block is outside of its piece"));
        }
        Ok(out.shared(&encoded.slice(part))?)
    }

    /// Ends the open segment, unless it is empty.
    pub(super) fn flush(
        &mut self,
        zip: &mut ZipStream,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        self.write_pending(out)?;
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        let crc = std::mem::take(&mut self.crc).finalize();
        zip.end_streamed(member, std::mem::take(&mut self.len), crc, out)?;
        let name = |family| Name::Numbered(family, self.segments);
        zip.member(name(self.names.index), &self.index, out)?;
        self.index_hash.update(&self.index);
        for hashes in &mut self.hashes {
            zip.member(name(hashes.name), &hashes.digests, out)?;
            hashes.hash.update(&hashes.digests);
            hashes.digests.clear();
        }
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
