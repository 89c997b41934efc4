// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a manifest says that everything lies in the file.

use crate::frame::FrameEncoder;
use crate::hash::MerkleTree;
use linpmem_manifest::{ChunkRecord, Manifest, RangeRecord};
use linpmem_phys::ZeroBlocks;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PhysLen, PhysRange};

/// A manifest and the places of its chunks.
///
/// # Invariants
/// Chunks with a place are in the order of the file and do not overlap. All lie in
/// their ranges one after the other, are no longer than [`ZeroBlocks::MAX_BYTES`], and
/// their sums make up those of the ranges.
#[derive(Debug)]
pub struct Layout<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// All chunks of all ranges.
    pub chunks: Vec<Chunk<'a>>,
}

/// A chunk and its place.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// What the manifest says of it.
    pub record: &'a ChunkRecord,
    /// The range that it is part of.
    pub range: &'a RangeRecord,
    /// Counts the chunks of the range from 0.
    pub number: usize,
    /// Its addresses.
    pub addresses: PhysRange,
    /// Its first byte in the file; none if it does not lie there in one piece, as
    /// in an AFF4 image.
    pub offset: Option<u64>,
    /// Its bytes in the file.
    pub length: u64,
}

/// A manifest that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A range that is none.
    #[error("range {0} has no addresses, or not those that its length says")]
    Range(u64),
    /// Chunks that are not a range's.
    #[error("the chunks of range {0} do not make up what it says was written")]
    Chunks(u64),
    /// A chunk that is too long.
    #[error(
        "a chunk of range {range} has {bytes} bytes; chunks have at most {}",
        ZeroBlocks::MAX_BYTES
    )]
    TooLong {
        /// The range.
        range: u64,
        /// The chunk's length.
        bytes: u64,
    },
    /// A sum over sums that is another.
    #[error("its sum over the chunks of {0} is not that of the chunks that it lists")]
    Tree(String),
    /// Places that overlap or lie behind the end.
    #[error("the chunk at {addresses} lies where another does, or behind the end of the file")]
    Place {
        /// The chunk.
        addresses: PhysRange,
    },
    /// No places, in a format that has them.
    #[error(
        "it does not say where in the file the chunk at {addresses} lies; is it the manifest of \
         another image?"
    )]
    NoPlace {
        /// The chunk.
        addresses: PhysRange,
    },
    /// A whole image that is not.
    #[error("it says that the image is complete, but {0} bytes of its ranges were not written")]
    NotWhole(u64),
}

impl<'a> Layout<'a> {
    /// The first chunk that has no place in the file.
    pub fn first_without_place(&self) -> Option<&Chunk<'a>> {
        self.chunks.iter().find(|chunk| chunk.offset.is_none())
    }

    /// The places that `manifest` tells.
    pub fn new(manifest: &'a Manifest) -> Result<Self, LayoutError> {
        let mut chunks = Vec::new();
        let mut next_offset = 0;
        let mut missing: u64 = manifest.image.planned_bytes;
        let mut tree = MerkleTree::default();
        for range in &manifest.ranges {
            let whole = range.range().ok_or(LayoutError::Range(range.index))?;
            if whole.last().get() != range.last.0 {
                return Err(LayoutError::Range(range.index));
            }
            let mut next = whole.start();
            let mut range_tree = MerkleTree::default();
            for (number, record) in range.chunks.iter().enumerate() {
                let chunk = place(range, whole, number, record)?;
                if chunk.addresses.start() != next || !whole.covers(chunk.addresses) {
                    return Err(LayoutError::Chunks(range.index));
                }
                next = chunk.addresses.end();
                if let Some(offset) = chunk.offset {
                    match offset.checked_add(chunk.length) {
                        Some(end) if next_offset <= offset && end <= manifest.file.length => {
                            next_offset = end;
                        }
                        _ => {
                            return Err(LayoutError::Place {
                                addresses: chunk.addresses,
                            });
                        }
                    }
                }
                chunks.push(chunk);
                tree.push(record.sha256);
                range_tree.push(record.sha256);
            }
            if range_tree.root() != range.sha256_tree {
                return Err(LayoutError::Tree(format!("range {}", range.index)));
            }
            let written = next.checked_sub(whole.start()).map(PhysLen::get);
            if written != Some(range.written_bytes) {
                return Err(LayoutError::Chunks(range.index));
            }
            missing = missing.saturating_sub(range.written_bytes);
        }
        if manifest.state.is_whole() && missing > 0 {
            return Err(LayoutError::NotWhole(missing));
        }
        if tree.root() != manifest.file.sha256_tree {
            return Err(LayoutError::Tree("all ranges".to_owned()));
        }
        Ok(Self { manifest, chunks })
    }
}

fn place<'a>(
    range: &'a RangeRecord,
    whole: PhysRange,
    number: usize,
    record: &'a ChunkRecord,
) -> Result<Chunk<'a>, LayoutError> {
    let addresses = record.range().ok_or(LayoutError::Chunks(range.index))?;
    let too_long = |bytes| LayoutError::TooLong {
        range: range.index,
        bytes,
    };
    if u64_as_usize(record.length) > ZeroBlocks::MAX_BYTES {
        return Err(too_long(record.length));
    }
    let (offset, length) = match record.frame {
        Some(frame) if u64_as_usize(frame.length) > FrameEncoder::bound(ZeroBlocks::MAX_BYTES) => {
            return Err(too_long(frame.length));
        }
        Some(frame) => (Some(frame.offset), frame.length),
        None => {
            let within = addresses.start().checked_sub(whole.start());
            let within = within.ok_or(LayoutError::Chunks(range.index))?.get();
            let place = |offset: u64| {
                let offset = offset.checked_add(within);
                offset.ok_or(LayoutError::Place { addresses })
            };
            (range.file_offset.map(place).transpose()?, record.length)
        }
    };
    Ok(Chunk {
        record,
        range,
        number,
        addresses,
        offset,
        length,
    })
}
