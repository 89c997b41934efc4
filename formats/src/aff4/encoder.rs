// SPDX-License-Identifier: MIT OR Apache-2.0
//! Turning a piece of memory into blocks, which several threads can do: finding zero
//! blocks, compression, hashes.

use super::{Compression, HashAlgorithm};
use crate::ChunkEncoder;
use linpmem_phys::num::{u32_as_usize, u64_as_usize, usize_as_u64};
use linpmem_phys::{PhysAddr, is_zero};

/// Size of a chunk of a stream, called a block here to tell it from [`crate::Chunk`].
/// A block begins at a multiple of this in the stream, and holds the memory between two
/// multiples of this.
pub(super) const BLOCK_BYTES: u32 = 32 << 10;
/// The same.
pub(super) const BLOCK: usize = u32_as_usize(BLOCK_BYTES);

/// The first bytes of the encoded form of a piece of memory, so that nothing else is
/// mistaken for it. The encoded form is for the writer alone: for each block a byte, 0
/// for a zero block and 1 otherwise; then, unless it is a zero block, the length of its
/// stored form, its digests and the stored form.
const MAGIC: [u8; 4] = *b"blk1";
/// Size of the length of a block.
const LEN_BYTES: usize = 8;
/// The length of a block until it is known. No block is that long.
const NO_LEN: u64 = u64::MAX;

/// Turns pieces of memory into blocks.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    compression: Compression,
    hashes: Vec<HashAlgorithm>,
}

/// An encoded block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block<'a> {
    /// All zeros.
    Zero,
    /// Anything else.
    Data {
        /// The digests, concatenated.
        digests: &'a [u8],
        /// The stored form; as long as a block if it is not compressed.
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

    /// Appends a block, even if it is all zeros.
    pub(super) fn encode_block(&self, block: &[u8], target: &mut Vec<u8>) {
        target.push(1);
        let len_at = target.len();
        target.extend(NO_LEN.to_le_bytes());
        for algorithm in &self.hashes {
            target.extend_from_slice(algorithm.digest(block).as_bytes());
        }
        let begin = target.len();
        self.compression.append(block, target);
        let len = usize_as_u64(target.len() - begin);
        if let Some(place) = target.get_mut(len_at..len_at + LEN_BYTES) {
            place.copy_from_slice(&len.to_le_bytes());
        }
    }

    /// The blocks in `encoded`; `None` if it is something else.
    pub(super) fn decode<'a>(&self, encoded: &'a [u8]) -> Option<Blocks<'a>> {
        Some(self.blocks(encoded.strip_prefix(&MAGIC)?))
    }

    /// The blocks in `encoded`, which begins with one.
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
        // A piece that begins and ends within a block touches two more than it fills.
        let blocks = len / BLOCK + 2;
        let head = 1 + LEN_BYTES + self.digest_bytes();
        // The last block needs room to be compressed in.
        MAGIC.len() + blocks * (head + BLOCK) + self.compression.bound(BLOCK)
    }
}

/// Splits the memory from `start` on at the boundaries of blocks: where in its block
/// each part begins, and the part.
pub(super) fn parts(start: PhysAddr, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut within = offset_in_block(start.get());
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, tail) = rest.split_at(rest.len().min(BLOCK - within));
        let found = (within, part);
        rest = tail;
        within = 0;
        Some(found)
    })
}

/// Where in its block an address lies, in bytes.
pub(super) fn offset_in_block(addr: u64) -> usize {
    u64_as_usize(addr % u64::from(BLOCK_BYTES))
}

/// The blocks of an encoded piece of memory. Ends early if it is damaged.
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
        let len = u64_as_usize(u64::from_le_bytes(*len));
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
