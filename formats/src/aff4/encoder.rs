// SPDX-License-Identifier: MIT OR Apache-2.0
//! Turning a piece of memory into blocks, which several threads can do: finding zero
//! blocks, compression, hashes.

use super::digest::Digest;
use super::{Compression, HashAlgorithm, Sha256Many};
use crate::ChunkEncoder;
use linpmem_phys::num::{u32_as_usize, u64_as_usize};
use linpmem_phys::{PhysAddr, is_zero};
use std::ops::Range;

/// Size of a chunk of a stream, called a block here to tell it from [`crate::Chunk`].
/// A block begins at a multiple of this in the stream, and holds the memory between two
/// multiples of this.
pub(super) const BLOCK_BYTES: u32 = 32 << 10;
/// The same.
pub(super) const BLOCK: usize = u32_as_usize(BLOCK_BYTES);

/// The first bytes of the encoded form of a piece of memory, so that nothing else is
/// mistaken for it. The encoded form is for the writer alone: the number of blocks, a
/// description of each (the size of its stored form, 0 for a zero block; the checksum of
/// that; the digests), and then the stored forms one after the other, so that neighbours
/// go into the file as one.
const MAGIC: [u8; 4] = *b"blk2";
/// Size of a number: how many blocks, a size, a checksum.
const NUMBER_BYTES: usize = 4;

/// Turns pieces of memory into blocks.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    compression: Compression,
    hashes: Vec<HashAlgorithm>,
    sha256: Sha256Many,
}

/// An encoded block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block<'a> {
    /// All zeros.
    Zero,
    /// Anything else.
    Data {
        /// The digests, concatenated.
        digests: &'a [u8],
        /// The checksum of the stored form.
        crc: u32,
        /// Where the encoded form of the piece has the stored form; as long as a block if
        /// it is not compressed.
        stored: Range<usize>,
    },
}

impl Encoder {
    pub(super) fn new(
        compression: Compression,
        hashes: Vec<HashAlgorithm>,
        sha256: Sha256Many,
    ) -> Self {
        Self {
            compression,
            hashes,
            sha256,
        }
    }

    /// A block of zeros, encoded as if it were not zero.
    pub(super) fn zero_block(&self) -> Vec<u8> {
        let mut target = Vec::new();
        self.encode_blocks(&[Some(&[0; BLOCK])], &mut target);
        target
    }

    /// Replaces `target` with `blocks`; `None` is a zero block.
    fn encode_blocks(&self, blocks: &[Option<&[u8]>], target: &mut Vec<u8>) {
        target.clear();
        target.extend(MAGIC);
        // A piece of memory that is in memory has fewer blocks than 2^32.
        target.extend(number(blocks.len()));
        let mut next = target.len();
        target.resize(next + blocks.len() * self.head_bytes(), 0);
        let data: Vec<&[u8]> = blocks.iter().copied().flatten().collect();
        let digests: Vec<Vec<Digest>> = self
            .hashes
            .iter()
            .map(|&algorithm| digests(algorithm, self.sha256, &data))
            .collect();
        let mut compressor = self.compression.compressor();
        let mut index = 0;
        for block in blocks {
            if let Some(block) = block {
                let begin = target.len();
                compressor.append(block, target);
                let (heads, stored) = target.split_at_mut(begin);
                let mut head = number(stored.len()).to_vec();
                head.extend(crc32fast::hash(stored).to_le_bytes());
                for digests in &digests {
                    head.extend(digests.get(index).map(Digest::as_bytes).unwrap_or_default());
                }
                if let Some(place) = heads.get_mut(next..next + head.len()) {
                    place.copy_from_slice(&head);
                }
                index += 1;
            }
            next += self.head_bytes();
        }
    }

    /// The blocks in `encoded`; `None` if it is something else.
    pub(super) fn decode<'a>(&self, encoded: &'a [u8]) -> Option<Blocks<'a>> {
        let rest = encoded.strip_prefix(&MAGIC)?;
        let (count, rest) = rest.split_first_chunk::<NUMBER_BYTES>()?;
        let count = u32_as_usize(u32::from_le_bytes(*count));
        let heads = count.checked_mul(self.head_bytes())?;
        let (heads, bodies) = rest.split_at_checked(heads)?;
        Some(Blocks {
            heads,
            head_bytes: self.head_bytes(),
            next: encoded.len() - bodies.len(),
            end: encoded.len(),
        })
    }

    /// Size of the description of a block.
    fn head_bytes(&self) -> usize {
        let digests = self.hashes.iter().map(|hash| hash.digest_bytes());
        2 * NUMBER_BYTES + digests.sum::<usize>()
    }
}

/// A number in an encoded piece. Neither the size of a block nor the number of blocks in a
/// piece comes near 2^32; should one ever, it decodes as nothing that the writer accepts.
fn number(number: usize) -> [u8; NUMBER_BYTES] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

/// The digest of each of `blocks`.
fn digests(algorithm: HashAlgorithm, sha256: Sha256Many, blocks: &[&[u8]]) -> Vec<Digest> {
    match algorithm {
        HashAlgorithm::Sha256 => sha256(blocks).into_iter().map(Digest::from).collect(),
        other => blocks.iter().map(|block| other.digest(block)).collect(),
    }
}

impl ChunkEncoder for Encoder {
    fn encode(&self, start: PhysAddr, data: &[u8], target: &mut Vec<u8>) {
        // Only the first and the last can be parts of blocks.
        let padded: Vec<Vec<u8>> = parts(start, data)
            .filter(|(_, part)| part.len() < BLOCK && !is_zero(part))
            .map(|(within, part)| {
                let mut padded = vec![0; within];
                padded.extend_from_slice(part);
                padded.resize(BLOCK, 0);
                padded
            })
            .collect();
        let mut padded = padded.iter();
        let blocks: Vec<Option<&[u8]>> = parts(start, data)
            .map(|(_, part)| match is_zero(part) {
                true => None,
                false if part.len() == BLOCK => Some(part),
                false => padded.next().map(Vec::as_slice),
            })
            .collect();
        self.encode_blocks(&blocks, target);
    }

    fn bound(&self, len: usize) -> usize {
        // A piece that begins and ends within a block touches two more than it fills.
        let blocks = len / BLOCK + 2;
        // The last block needs room to be compressed in.
        MAGIC.len()
            + NUMBER_BYTES
            + blocks * (self.head_bytes() + BLOCK)
            + self.compression.bound(BLOCK)
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
    heads: &'a [u8],
    head_bytes: usize,
    /// Where the next stored form begins, and where the last one ends.
    next: usize,
    end: usize,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let (head, heads) = self.heads.split_at_checked(self.head_bytes)?;
        let (len, rest) = head.split_first_chunk::<NUMBER_BYTES>()?;
        let (crc, digests) = rest.split_first_chunk::<NUMBER_BYTES>()?;
        let len = u32_as_usize(u32::from_le_bytes(*len));
        self.heads = heads;
        if len == 0 {
            return Some(Block::Zero);
        }
        let end = self.next.checked_add(len).filter(|end| *end <= self.end)?;
        let stored = self.next..end;
        self.next = end;
        Some(Block::Data {
            digests,
            crc: u32::from_le_bytes(*crc),
            stored,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sha256_many;
    use super::*;

    #[test]
    fn blocks_lie_where_their_addresses_say() {
        let encoder = Encoder::new(
            Compression::None,
            vec![HashAlgorithm::Md5, HashAlgorithm::Sha1],
            sha256_many,
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
        for (block, expected) in [(&blocks[0], first), (&blocks[2], last)] {
            let Block::Data {
                digests,
                crc,
                stored,
            } = block
            else {
                panic!("{block:?}");
            };
            assert_eq!(encoded[stored.clone()], expected);
            assert_eq!(*crc, crc32fast::hash(&expected));
            let md5 = HashAlgorithm::Md5.digest(&expected);
            let sha1 = HashAlgorithm::Sha1.digest(&expected);
            assert_eq!(*digests, [md5.as_bytes(), sha1.as_bytes()].concat());
        }
        // The stored forms of neighbours are neighbours.
        assert_eq!(encoded.len(), 8 + 3 * encoder.head_bytes() + 2 * BLOCK);
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
            let encoder = Encoder::new(compression, vec![HashAlgorithm::Sha256], sha256_many);
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
