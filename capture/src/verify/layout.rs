// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where everything is in the file, according to its manifest.

use super::VerifyError;
use super::listed::{Listed, ListedRange};
use super::manifest_file::{Input, ManifestFile};
use crate::frame::FrameEncoder;
use crate::hash::{MerkleTree, sha256};
use linpmem_manifest::{ChunkContent, Chunks, FileRecord, ListedChunk, ReadError, Sha256Sum};
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PhysRange, ZeroBlocks};
use std::collections::HashMap;

/// A manifest that was found to be consistent, and the places of its chunks.
///
/// # Invariants
/// Chunks with a place are in the order of the file and do not overlap. None is longer
/// than [`ZeroBlocks::MAX_BYTES`], and their hashes make up those of the ranges. The
/// manifest's reader has checked that the chunks of a range follow each other.
pub struct Layout<'a> {
    file: &'a ManifestFile,
    /// How many chunks there are.
    pub count: u64,
    /// The memory in them.
    pub bytes: u64,
}

/// A chunk and its place.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The number of its line in the manifest.
    pub line: u64,
    /// Counts the chunks of all ranges from 0.
    pub index: u64,
    /// The range that it is part of.
    pub range: &'a ListedRange,
    /// Counts the chunks of the range from 0.
    pub number: u64,
    /// Its addresses.
    pub addresses: PhysRange,
    /// What the manifest says about its bytes.
    pub content: ChunkContent,
    /// Its first byte in the file; none if it is not in one piece there, as in an AFF4
    /// image.
    pub offset: Option<u64>,
    /// Its bytes in the file.
    pub length: u64,
    /// Whether they are compressed.
    pub is_compressed: bool,
    /// Whether the manifest lists all pages of it that could not be read.
    pub has_marks: bool,
}

/// A manifest that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Chunks of a range that the manifest did not have before.
    #[error("the manifest changed while it was read: verify again when it no longer changes")]
    Changed,
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
    /// A Merkle root that does not match its chunks.
    #[error("the Merkle root of {0} does not match its chunk hashes: the manifest was altered")]
    Tree(String),
    /// Places that overlap or are beyond the end.
    #[error("the chunk at {addresses} overlaps another one, or is beyond the end of the file")]
    Place {
        /// The chunk.
        addresses: PhysRange,
    },
    /// No places, in a format that has them.
    #[error(
        "it does not say where in the file the chunk at {addresses} is: it may be the manifest of \
        another image"
    )]
    NoPlace {
        /// The chunk.
        addresses: PhysRange,
    },
    /// An image that is said to be complete, and is not.
    #[error(
        "it says that the image is complete, but lists {written} bytes as written, of {planned} \
         planned"
    )]
    NotWhole {
        /// Bytes of its ranges that were written.
        written: u64,
        /// Bytes that were planned.
        planned: u64,
    },
}

impl Chunk<'_> {
    /// Bytes of memory.
    pub const fn bytes(&self) -> u64 {
        self.addresses.len().get()
    }
}

impl<'a> Layout<'a> {
    /// The places in `file`, after checking all of them. With `needs_place`, a chunk without
    /// a place is an error.
    pub fn new(file: &'a ManifestFile, needs_place: bool) -> Result<Self, VerifyError> {
        let listed = file.listed();
        let length = listed.footer.as_ref().map(|footer| footer.file.length);
        let mut trees = Trees::default();
        let (mut next_offset, mut count, mut bytes) = (0, 0, 0);
        for chunk in file.places() {
            let chunk = chunk?;
            let wrong = |source| file.contradiction(Some(chunk.line), source);
            let addresses = chunk.addresses;
            match chunk
                .offset
                .map(|offset| (offset, offset.checked_add(chunk.length)))
            {
                Some((offset, Some(end)))
                    if next_offset <= offset && length.is_none_or(|length| end <= length) =>
                {
                    next_offset = end;
                }
                Some(_) => return Err(wrong(LayoutError::Place { addresses })),
                None if needs_place => return Err(wrong(LayoutError::NoPlace { addresses })),
                None => {}
            }
            trees.push(listed, &chunk).map_err(wrong)?;
            count += 1;
            // Chunks do not overlap.
            bytes += chunk.bytes();
        }
        trees
            .end(listed)
            .map_err(|source| file.contradiction(None, source))?;
        let planned = listed.header.image.planned_bytes;
        let footer = listed.footer.as_ref();
        if footer.is_some_and(|footer| footer.state.is_whole()) && bytes != planned {
            let written = bytes;
            return Err(file.contradiction(None, LayoutError::NotWhole { written, planned }));
        }
        Ok(Self { file, count, bytes })
    }

    /// What the manifest says.
    pub const fn listed(&self) -> &'a Listed {
        self.file.listed()
    }

    /// What the manifest says of the file; none if it ends early.
    pub fn file_record(&self) -> Option<&'a FileRecord> {
        Some(&self.listed().footer.as_ref()?.file)
    }

    /// The chunks, read anew.
    pub fn chunks(&self) -> Places<'a> {
        self.file.places()
    }
}

/// The Merkle trees over the chunks so far.
#[derive(Default)]
struct Trees {
    /// The number of the current range.
    range: u64,
    of_range: MerkleTree,
    of_all: MerkleTree,
    zeros: ZeroSums,
}

impl Trees {
    fn push(&mut self, listed: &Listed, chunk: &Chunk<'_>) -> Result<(), LayoutError> {
        self.end_ranges(listed, chunk.range.record.index)?;
        let sum = self.zeros.of_chunk(chunk);
        self.of_range.push(sum);
        self.of_all.push(sum);
        Ok(())
    }

    /// Compares the trees of the ranges before number `border`.
    fn end_ranges(&mut self, listed: &Listed, border: u64) -> Result<(), LayoutError> {
        while self.range < border {
            let range = listed.ranges.get(u64_as_usize(self.range));
            let range = range.ok_or(LayoutError::Changed)?;
            let root = std::mem::take(&mut self.of_range).root();
            if range.end.is_some_and(|end| end.sha256_tree != root) {
                return Err(LayoutError::Tree(format!("range {}", self.range)));
            }
            self.range += 1;
        }
        Ok(())
    }

    fn end(mut self, listed: &Listed) -> Result<(), LayoutError> {
        let ranges = linpmem_phys::num::usize_as_u64(listed.ranges.len());
        self.end_ranges(listed, ranges)?;
        let root = self.of_all.root();
        let footer = listed.footer.as_ref();
        if footer.is_some_and(|footer| footer.file.sha256_tree != root) {
            return Err(LayoutError::Tree("all ranges".to_owned()));
        }
        Ok(())
    }
}

/// The hashes of zero chunks: few lengths, each hashed once.
#[derive(Default)]
pub struct ZeroSums(HashMap<u64, Sha256Sum>);

impl ZeroSums {
    /// The most lengths that are remembered. An image of real memory has a handful.
    const MAX: usize = 1024;

    /// The hash of `len` zero bytes.
    pub fn of(&mut self, len: u64) -> Sha256Sum {
        if self.0.len() >= Self::MAX {
            self.0.clear();
        }
        let sum = || sha256(&vec![0; u64_as_usize(len)]);
        *self.0.entry(len).or_insert_with(sum)
    }

    /// The hash of `chunk` in the manifest.
    pub fn of_chunk(&mut self, chunk: &Chunk<'_>) -> Sha256Sum {
        match chunk.content {
            ChunkContent::Sha256(sum) => sum,
            ChunkContent::Zero => self.of(chunk.bytes()),
        }
    }
}

/// The chunks of a manifest with their places, as they are read from it.
pub struct Places<'a> {
    file: &'a ManifestFile,
    chunks: Chunks<Input>,
    next: u64,
}

impl<'a> Places<'a> {
    /// The places of `chunks`, the chunks of `file`.
    pub(super) const fn new(file: &'a ManifestFile, chunks: Chunks<Input>) -> Self {
        Self {
            file,
            chunks,
            next: 0,
        }
    }
}

impl<'a> Iterator for Places<'a> {
    type Item = Result<Chunk<'a>, VerifyError>;

    fn next(&mut self) -> Option<Self::Item> {
        let listed = match self.chunks.next()? {
            Ok(listed) => listed,
            // That it ends early is known.
            Err(ReadError::Truncated { .. }) if self.file.listed().is_cut => {
                return None;
            }
            Err(error) => return Some(Err(error.into())),
        };
        let index = self.next;
        self.next += 1;
        let file = self.file;
        Some(
            place(file.listed(), listed, index)
                .map_err(|source| file.contradiction(Some(listed.line), source)),
        )
    }
}

fn place(all: &Listed, listed: ListedChunk, index: u64) -> Result<Chunk<'_>, LayoutError> {
    let chunk = listed.chunk;
    let range = all.ranges.get(u64_as_usize(listed.range));
    let range = range.ok_or(LayoutError::Changed)?;
    let too_long = |bytes| LayoutError::TooLong {
        range: listed.range,
        bytes,
    };
    let bytes = chunk.addresses.len().get();
    if u64_as_usize(bytes) > ZeroBlocks::MAX_BYTES {
        return Err(too_long(bytes));
    }
    let (offset, length) = match chunk.frame {
        Some(frame) if u64_as_usize(frame.length) > FrameEncoder::bound(ZeroBlocks::MAX_BYTES) => {
            return Err(too_long(frame.length));
        }
        Some(frame) => (Some(frame.offset), frame.length),
        None => {
            let addresses = chunk.addresses;
            let within = addresses.start().checked_sub(range.addresses.start());
            let within = within.ok_or(LayoutError::Changed)?.get();
            let place = |offset: u64| {
                let offset = offset.checked_add(within);
                offset.ok_or(LayoutError::Place { addresses })
            };
            (range.record.file_offset.map(place).transpose()?, bytes)
        }
    };
    Ok(Chunk {
        line: listed.line,
        index,
        range,
        number: listed.number,
        addresses: chunk.addresses,
        content: chunk.content,
        offset,
        length,
        is_compressed: chunk.frame.is_some(),
        has_marks: all.open_line != Some(listed.line),
    })
}
