// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to each piece of memory alone: zero blocks, compression, hashes.

use super::{Compression, HashAlgorithm};
use crate::ChunkEncoder;
use linpmem_phys::{PhysAddr, is_zero};

/// Bytes in a chunk of a stream ("block" here, as `Chunk` is something else).
/// Blocks begin at multiples of this in the stream, and hold what lies between
/// multiples of this in memory.
pub(super) const BLOCK_BYTES: u32 = 32 << 10;
/// The same.
pub(super) const BLOCK: usize = 32 << 10;

/// Begins the encoded form of a piece of memory, so that a compressed form of
/// another kind is not taken for one.
const MAGIC: [u8; 4] = *b"blk1";
/// Bytes of a block's length.
const LEN_BYTES: usize = 4;

/// Makes blocks of pieces of memory.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    compression: Compression,
    hashes: Vec<HashAlgorithm>,
}

/// A block, encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block<'a> {
    /// Nothing but zeros.
    Zero,
    /// Anything else.
    Data {
        /// The digests, one behind the other.
        digests: &'a [u8],
        /// What is written; as long as a block if it is not compressed.
        bytes: &'a [u8],
    },
}

impl Encoder {
    pub(super) fn new(compression: Compression, hashes: Vec<HashAlgorithm>) -> Self {
        Self {
            compression,
            hashes,
        }
    }

    /// Appends a block, zero or not.
    pub(super) fn encode_block(&self, block: &[u8], target: &mut Vec<u8>) {
        target.push(1);
        let len_at = target.len();
        target.extend([0; LEN_BYTES]);
        for algorithm in &self.hashes {
            target.extend_from_slice(algorithm.digest(block).as_bytes());
        }
        let begin = target.len();
        self.compression.append(block, target);
        let len = u32::try_from(target.len().saturating_sub(begin)).unwrap_or(u32::MAX);
        if let Some(place) = target.get_mut(len_at..len_at.saturating_add(LEN_BYTES)) {
            place.copy_from_slice(&len.to_le_bytes());
        }
    }

    /// The blocks in `encoded`, if it is that.
    pub(super) fn decode<'a>(&self, encoded: &'a [u8]) -> Option<Blocks<'a>> {
        Some(self.blocks(encoded.strip_prefix(&MAGIC)?))
    }

    /// The blocks in `encoded`, one behind the other.
    pub(super) fn blocks<'a>(&self, encoded: &'a [u8]) -> Blocks<'a> {
        Blocks {
            rest: encoded,
            digest_bytes: self.digest_bytes(),
        }
    }

    fn digest_bytes(&self) -> usize {
        self.hashes.iter().map(|hash| hash.digest_bytes()).sum()
    }
}

impl ChunkEncoder for Encoder {
    fn encode(&self, start: PhysAddr, data: &[u8], target: &mut Vec<u8>) {
        target.clear();
        target.extend(MAGIC);
        let mut padded = Vec::new();
        for (within, part) in parts(start, data) {
            if is_zero(part) {
                target.push(0);
            } else if part.len() == BLOCK {
                self.encode_block(part, target);
            } else {
                padded.clear();
                padded.resize(within, 0);
                padded.extend_from_slice(part);
                padded.resize(BLOCK, 0);
                self.encode_block(&padded, target);
            }
        }
    }

    fn bound(&self, len: usize) -> usize {
        // A piece that begins and ends within blocks touches two more than it fills.
        let blocks = (len / BLOCK).saturating_add(2);
        let head = self.digest_bytes().saturating_add(LEN_BYTES + 1);
        let blocks = blocks.saturating_mul(BLOCK.saturating_add(head));
        // The last one needs room to be compressed in.
        blocks
            .saturating_add(MAGIC.len())
            .saturating_add(self.compression.bound(BLOCK))
    }
}

/// The blocks that memory from `start` on touches: where in its block each part
/// begins, and the part.
pub(super) fn parts(start: PhysAddr, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut within = offset_in_block(start.get());
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, tail) = rest.split_at(rest.len().min(BLOCK.saturating_sub(within)));
        let found = (within, part);
        rest = tail;
        within = 0;
        Some(found)
    })
}

/// Where in its block an address lies.
pub(super) fn offset_in_block(addr: u64) -> usize {
    usize::try_from(addr % u64::from(BLOCK_BYTES)).unwrap_or(0)
}

/// The blocks of an encoded piece of memory; ends early if that is damaged.
#[derive(Clone, Debug)]
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    digest_bytes: usize,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let (&kind, rest) = self.rest.split_first()?;
        if kind == 0 {
            self.rest = rest;
            return Some(Block::Zero);
        }
        let (len, rest) = rest.split_first_chunk::<LEN_BYTES>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (digests, rest) = rest.split_at_checked(self.digest_bytes)?;
        let (bytes, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Block::Data { digests, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_where_their_addresses_say() {
        let encoder = Encoder::new(
            Compression::None,
            vec![HashAlgorithm::Md5, HashAlgorithm::Sha1],
        );
        // The end of one block, a whole zero one, and a page of a third.
        let mut data = vec![7; 0x1000];
        data.resize(0x1000 + BLOCK, 0);
        data.resize(0x2000 + BLOCK, 9);
        let mut encoded = Vec::new();
        encoder.encode(PhysAddr::new(0x1_f000), &data, &mut encoded);
        assert!(encoded.len() <= encoder.bound(data.len()));
        let blocks: Vec<Block<'_>> = encoder.decode(&encoded).unwrap().collect();
        let mut first = vec![0; BLOCK];
        first[0x7000..].fill(7);
        let mut last = vec![0; BLOCK];
        last[..0x1000].fill(9);
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks[1], Block::Zero);
        for (block, expected) in [(blocks[0], first), (blocks[2], last)] {
            let Block::Data { digests, bytes } = block else {
                panic!("{block:?}");
            };
            assert_eq!(bytes, expected);
            let md5 = HashAlgorithm::Md5.digest(&expected);
            let sha1 = HashAlgorithm::Sha1.digest(&expected);
            assert_eq!(digests, [md5.as_bytes(), sha1.as_bytes()].concat());
        }
        assert!(encoder.decode(b"\x28\xb5\x2f\xfd").is_none());
    }

    #[test]
    fn room_for_the_bound_is_enough() {
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..4 * BLOCK)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        for compression in [
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zlib,
            Compression::None,
        ] {
            let encoder = Encoder::new(compression, vec![HashAlgorithm::Sha256]);
            // Whole blocks; most of one, two whole ones, and two bytes of another.
            for (start, len) in [(0, 4 * BLOCK), (BLOCK - 30_000, 2 * BLOCK + 30_002)] {
                let mut target = Vec::with_capacity(encoder.bound(len));
                let room = target.capacity();
                let start = PhysAddr::new(u64::try_from(start).unwrap());
                encoder.encode(start, &noise[..len], &mut target);
                assert_eq!(target.capacity(), room, "{compression} {start:?}");
            }
        }
    }
}
