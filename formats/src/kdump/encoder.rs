// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressing the pages of a chunk, which several threads can do.
//!
//! The encoded form is for the writer alone: the stored forms of the pages, which the
//! writer can pass on as they are, and then a little-endian number of 8 bytes per page.
//! The number is 0 for a zero page; otherwise it is the length of the stored form, with
//! the highest bit set if that is compressed.

use super::block::Block;
use super::page::{Compression, Packer};
use crate::ChunkEncoder;
use crate::fields::Fields;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PhysAddr, is_zero};

const COMPRESSED: u64 = 1 << 63;

/// Size of the number of a page.
const TOKEN_BYTES: usize = 8;

/// Compresses pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageEncoder {
    pub(super) compression: Compression,
    pub(super) block: Block,
}

/// The stored form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    Zero,
    Plain(&'a [u8]),
    Compressed(&'a [u8]),
}

impl Stored<'_> {
    /// Bytes that the page takes, unless it shares those of the zero page.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Zero => 0,
            Self::Plain(bytes) | Self::Compressed(bytes) => bytes.len(),
        }
    }
}

impl ChunkEncoder for PageEncoder {
    fn encode(&self, _start: PhysAddr, data: &[u8], target: &mut Vec<u8>) {
        let mut packer = Packer::new(self.compression, self.block);
        let mut tokens = Vec::with_capacity(data.len().div_ceil(self.block.bytes()) * TOKEN_BYTES);
        target.clear();
        for page in data.chunks(self.block.bytes()) {
            if is_zero(page) {
                tokens.extend_from_slice(&0_u64.to_le_bytes());
                continue;
            }
            let (stored, flag) = match packer.page(page) {
                Some(packed) => (packed, COMPRESSED),
                None => (page, 0),
            };
            let token = usize_as_u64(stored.len()) | flag;
            tokens.extend_from_slice(&token.to_le_bytes());
            target.extend_from_slice(stored);
        }
        target.extend_from_slice(&tokens);
    }

    fn bound(&self, len: usize) -> usize {
        len + len.div_ceil(self.block.bytes()) * TOKEN_BYTES
    }
}

/// The pages of an encoded chunk of `pages` pages of `block`, which begins with their stored forms,
/// one after the other. `None` if `encoded` is something else.
pub(super) fn decode(encoded: &[u8], pages: usize, block: Block) -> Option<Vec<Stored<'_>>> {
    let tokens = pages.checked_mul(TOKEN_BYTES)?;
    let (body, tokens) = encoded.split_at_checked(encoded.len().checked_sub(tokens)?)?;
    let (mut body, mut tokens) = (Fields(body), Fields(tokens));
    let mut stored = Vec::with_capacity(pages);
    for _ in 0..pages {
        let token = tokens.u64()?;
        let bytes = body.take(u64_as_usize(token & !COMPRESSED))?;
        stored.push(match token & COMPRESSED {
            _ if bytes.is_empty() => Stored::Zero,
            0 if bytes.len() == block.bytes() => Stored::Plain(bytes),
            0 => return None,
            _ if bytes.len() < block.bytes() => Stored::Compressed(bytes),
            _ => return None,
        });
    }
    body.0.is_empty().then_some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = Block::SMALLEST.bytes();

    fn decode(encoded: &[u8], pages: usize) -> Option<Vec<Stored<'_>>> {
        super::decode(encoded, pages, Block::SMALLEST)
    }

    #[test]
    fn pages_come_back_in_order_and_anything_else_is_refused() {
        let mut data = vec![0; 3 * BYTES];
        data[BYTES..2 * BYTES].fill(7);
        for (index, byte) in data.iter_mut().skip(2 * BYTES).enumerate() {
            *byte = ((index * 37) ^ (index >> 4)) as u8;
        }
        let encoder = PageEncoder {
            compression: Compression::Zlib,
            block: Block::SMALLEST,
        };
        let mut encoded = Vec::new();
        encoder.encode(PhysAddr::ZERO, &data, &mut encoded);
        assert!(encoded.len() <= encoder.bound(data.len()));
        let pages = decode(&encoded, 3).unwrap();
        assert_eq!(pages[0], Stored::Zero);
        assert!(matches!(pages[1], Stored::Compressed(_)));
        assert_eq!(decode(&encoded, 2), None);
        assert_eq!(decode(&encoded, 4), None);
        assert_eq!(decode(&data, 3), None);
        assert_eq!(decode(b"\x28\xb5\x2f\xfd", 1), None);
    }
}
