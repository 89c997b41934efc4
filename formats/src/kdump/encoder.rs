// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to each chunk alone: its pages, compressed one by one.
//!
//! The encoded form is for the writer only: four bytes a page, then the pages'
//! bytes. The four bytes are a little-endian number: 0 for a zero page, else the
//! bytes of its stored form, with the highest bit set if that is compressed.

use super::BLOCK_BYTES;
use super::compression::Compression;
use super::page::Packer;
use crate::ChunkEncoder;
use linpmem_phys::PhysAddr;

const COMPRESSED: u32 = 1 << 31;

/// Compresses pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageEncoder(pub(super) Compression);

/// The stored form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    Zero,
    Plain(&'a [u8]),
    Compressed(&'a [u8]),
}

impl ChunkEncoder for PageEncoder {
    fn encode(&self, _start: PhysAddr, data: &[u8], target: &mut Vec<u8>) {
        let mut packer = Packer::new(self.0);
        let pages = data.chunks(BLOCK_BYTES);
        target.clear();
        target.resize(pages.len().saturating_mul(4), 0);
        for (index, page) in pages.enumerate() {
            if page.iter().all(|&byte| byte == 0) {
                continue;
            }
            let (stored, flag) = match packer.page(page) {
                Some(packed) => (packed, COMPRESSED),
                None => (page, 0),
            };
            let size = u32::try_from(stored.len()).unwrap_or(0) | flag;
            target.extend_from_slice(stored);
            let at = index.saturating_mul(4);
            if let Some(token) = target.get_mut(at..at.saturating_add(4)) {
                token.copy_from_slice(&size.to_le_bytes());
            }
        }
    }

    fn bound(&self, len: usize) -> usize {
        len.saturating_add(len.div_ceil(BLOCK_BYTES).saturating_mul(4))
    }
}

/// The pages of an encoded chunk of so many pages; `None` if it is not one.
pub(super) fn decode(encoded: &[u8], pages: usize) -> Option<Vec<Stored<'_>>> {
    let (tokens, mut rest) = encoded.split_at_checked(pages.checked_mul(4)?)?;
    tokens
        .chunks_exact(4)
        .map(|token| {
            let token = u32::from_le_bytes(token.try_into().ok()?);
            let size = usize::try_from(token & !COMPRESSED).ok()?;
            let (stored, tail) = rest.split_at_checked(size)?;
            rest = tail;
            Some(match token & COMPRESSED {
                _ if size == 0 => Stored::Zero,
                0 => Stored::Plain(stored),
                _ => Stored::Compressed(stored),
            })
        })
        .collect()
}
