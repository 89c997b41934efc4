// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an AFF4 image, front to back.

use super::bevy::StreamBuilder;
use super::describe::{Ending, MapHashes, document};
use super::digest::Digest;
use super::encoder::{BLOCK, BLOCK_BYTES, Block, Encoder, offset_in_block, parts};
use super::linear_hash::LinearHash;
use super::map::{MapBuilder, Target, idx};
use super::schema::{DESCRIPTION, INFORMATION, JOURNAL, VERSION, VMCOREINFO};
use super::urn::{escaped_path, member_name};
use super::zip::ZipStream;
use super::{Aff4File, Aff4Options, HashAlgorithm};
use crate::sequence::Sequence;
use crate::{Chunk, ChunkEncoder, ImageOutput, ImagePlan, ImageWriter, WriteError};
use linpmem_phys::Unreadable;
use std::sync::Arc;

/// Writes an AFF4 v1.0 memory image: a map over one stream in a zip volume.
///
/// Holes and zeros take no room, pages that could not be read are marked as such,
/// and RAM is told from holes. Compression and block hashes are the work of
/// [`ImageWriter::encoder`], which can be done by many threads; what is not
/// encoded when it comes is encoded here. The bytes are the same either way.
///
/// Memory: one segment (64 MiB), the map (28 bytes a record), and a line of the
/// directory per member. The linear hashes have a thread of their own.
#[derive(Debug)]
pub struct Aff4Writer {
    plan: ImagePlan,
    options: Aff4Options,
    sequence: Sequence,
    encoder: Arc<Encoder>,
    zip: ZipStream,
    stream: StreamBuilder,
    map: MapBuilder,
    linear: Option<LinearHash>,
    start_time: String,
    /// The address up to which all is mapped or pending.
    next: u64,
    /// Zeros that are not yet mapped: they may become blocks after all.
    zeros: Option<Zeros>,
    /// An encoded block of zeros, when there was need for one.
    zero_block: Vec<u8>,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Zeros {
    start: u64,
    end: u64,
}

/// Records of a map up to which every zero block is left out.
const FREE_RECORDS: usize = 32 << 10;
/// From there on, the shortest run that is left out doubles with this many more,
/// so that the map of a fragmented memory stays small, however large that is.
const RECORDS_PER_DOUBLING: usize = 4 << 10;
/// Holes up to which the linear hashes are made. Zeros are hashed like everything
/// else, at about 1 GiB a second, and meanwhile the memory behind the hole waits.
const MAX_HASHED_HOLES_BYTES: u64 = 16 << 30;

impl Aff4Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If a segment would pass 2^32 bytes or two of the files have the same path.
    pub fn new(plan: &ImagePlan, mut options: Aff4Options) -> Result<Self, WriteError> {
        options.block_hashes.sort_unstable();
        options.block_hashes.dedup();
        options.linear_hashes.sort_unstable();
        options.linear_hashes.dedup();
        if !(1..=1 << 16).contains(&options.chunks_in_segment) {
            return Err(WriteError::Unsupported(
                "a segment of an AFF4 stream has 1 to 65,536 chunks".to_owned(),
            ));
        }
        let holes = plan.end().get().saturating_sub(plan.total().get());
        if holes > MAX_HASHED_HOLES_BYTES {
            options.linear_hashes.clear();
        }
        if let Some(text) = &plan.machine().vmcoreinfo {
            options.files.push(Aff4File {
                path: VMCOREINFO.to_owned(),
                content: text.clone(),
            });
        }
        check_files(&options)?;
        Ok(Self {
            sequence: Sequence::new(plan),
            encoder: Arc::new(Encoder::new(
                options.compression,
                options.block_hashes.clone(),
            )),
            zip: ZipStream::default(),
            stream: StreamBuilder::new(
                &options.urns,
                &options.block_hashes,
                options.chunks_in_segment,
            ),
            map: MapBuilder::default(),
            linear: None,
            start_time: String::new(),
            next: 0,
            zeros: None,
            zero_block: Vec::new(),
            scratch: Vec::new(),
            plan: plan.clone(),
            options,
        })
    }

    /// The hashes over all addresses that the image will have. None if the holes in
    /// the plan pass 16 GiB: they are part of it, and hashing so many zeros would
    /// hold up the acquisition.
    #[must_use]
    pub fn linear_hashes(&self) -> &[HashAlgorithm] {
        &self.options.linear_hashes
    }

    fn member(&self, path: &str) -> String {
        member_name(self.options.urns.volume.as_str(), path)
    }

    /// Maps what lies below the chunk as zeros, and what the chunk holds.
    fn place(
        &mut self,
        chunk: &Chunk<'_>,
        blocks: &mut dyn Iterator<Item = Block<'_>>,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let start = chunk.start.get();
        if start > self.next {
            self.settle_zeros(out)?;
            let hole = start.saturating_sub(self.next);
            self.map.push(self.next, hole, Target::Zero, self.next);
        }
        let mut addr = start;
        let mut unreadable = chunk.unreadable;
        for (_, part) in parts(chunk.start, chunk.data) {
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            let block = blocks
                .next()
                .ok_or(WriteError::Misuse("a chunk was encoded by something else"))?;
            let end = addr.saturating_add(len);
            // Those that this block ends before are the next block's as well.
            while let Some((first, rest)) = unreadable.split_first() {
                if first.range.end().get() > addr {
                    break;
                }
                unreadable = rest;
            }
            self.place_block(addr, end, block, unreadable, out)?;
            addr = end;
        }
        self.next = addr;
        Ok(())
    }

    fn place_block(
        &mut self,
        start: u64,
        end: u64,
        block: Block<'_>,
        unreadable: &[Unreadable],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        // Where in the stream the address 0 of this block's memory would be.
        let mut base = None;
        let mut is_full = false;
        if let Block::Data { digests, bytes } = block {
            self.settle_zeros(out)?;
            let within = u64::try_from(offset_in_block(start)).unwrap_or(0);
            base = Some(self.stream.next_offset().saturating_add(within));
            is_full = self.stream.push(digests, bytes);
        }
        let mut next = start;
        for item in unreadable {
            let from = item.range.start().get().clamp(next, end);
            let to = item.range.end().get().clamp(from, end);
            self.place_readable(start, next, from, base);
            if to > from {
                self.settle_zeros(out)?;
                self.map
                    .push(from, to.saturating_sub(from), Target::Unreadable, from);
            }
            next = to;
            if next == end {
                break;
            }
        }
        self.place_readable(start, next, end, base);
        if is_full {
            self.flush(out)?;
        }
        Ok(())
    }

    /// Maps from `from` to `to` of the block that begins at `start`, to the stream
    /// if the block is there.
    fn place_readable(&mut self, start: u64, from: u64, to: u64, base: Option<u64>) {
        if from >= to {
            return;
        }
        if let Some(base) = base {
            let offset = base.saturating_add(from.saturating_sub(start));
            self.map
                .push(from, to.saturating_sub(from), Target::Stream, offset);
            return;
        }
        match &mut self.zeros {
            Some(zeros) if zeros.end == from => zeros.end = to,
            zeros => {
                *zeros = Some(Zeros {
                    start: from,
                    end: to,
                })
            }
        }
    }

    /// Maps the pending zeros: as such, or as blocks, if the map is long already
    /// and they are few.
    fn settle_zeros(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let Some(zeros) = self.zeros.take() else {
            return Ok(());
        };
        let len = zeros.end.saturating_sub(zeros.start);
        let beyond = self.map.len().saturating_sub(FREE_RECORDS);
        let doublings = u32::try_from(beyond.div_ceil(RECORDS_PER_DOUBLING)).unwrap_or(u32::MAX);
        let shortest = match doublings {
            0 => 0,
            _ => u64::from(BLOCK_BYTES)
                .checked_shl(doublings.min(20))
                .unwrap_or(u64::MAX),
        };
        if len >= shortest || self.map.ends_in_zeros() {
            self.map.push(zeros.start, len, Target::Zero, zeros.start);
            return Ok(());
        }
        if self.zero_block.is_empty() {
            let mut encoded = Vec::new();
            self.encoder.encode_block(&[0; BLOCK], &mut encoded);
            self.zero_block = encoded;
        }
        let zero_block = std::mem::take(&mut self.zero_block);
        let placed = self.place_zero_blocks(&zero_block, zeros, out);
        self.zero_block = zero_block;
        placed
    }

    fn place_zero_blocks(
        &mut self,
        encoded: &[u8],
        zeros: Zeros,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let mut start = zeros.start;
        while start < zeros.end {
            let within = u64::try_from(offset_in_block(start)).unwrap_or(0);
            let left = u64::from(BLOCK_BYTES).saturating_sub(within);
            let end = start.saturating_add(left).min(zeros.end);
            let block = self.encoder.blocks(encoded).next();
            let Some(block @ Block::Data { .. }) = block else {
                return Err(WriteError::Misuse("a block of zeros was not encoded"));
            };
            self.place_block(start, end, block, &[], out)?;
            start = end;
        }
        Ok(())
    }

    /// Writes the full segment, and what the map has of it.
    fn flush(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let number = self.stream.segments();
        self.stream.flush(&mut self.zip, out)?;
        let name = self.options.urns.map.join(&format!("journal/{number:08}"));
        let name = self.member(name.as_str());
        let journal = self.map.journal();
        self.zip.member(&name, &[&journal], out)
    }

    fn feed_linear(&mut self, chunk: &Chunk<'_>) {
        let Some(linear) = &self.linear else {
            return;
        };
        linear.zeros(chunk.start.get().saturating_sub(self.next));
        if chunk.is_zero && chunk.unreadable.is_empty() {
            linear.zeros(u64::try_from(chunk.data.len()).unwrap_or(u64::MAX));
            return;
        }
        let parts: Vec<(usize, u64, usize)> = chunk
            .unreadable
            .iter()
            .filter_map(|item| {
                let within = item.range.start().checked_sub(chunk.start)?;
                Some((
                    usize::try_from(within.get()).ok()?,
                    item.range.start().get(),
                    usize::try_from(item.range.len().get()).ok()?,
                ))
            })
            .collect();
        linear.data(chunk.data, &parts);
    }

    fn write_map(&mut self, out: &mut dyn ImageOutput) -> Result<[Digest; 3], WriteError> {
        let points = self.map.encoded();
        let idx = idx(self.options.urns.stream.as_str());
        for (name, content) in [("map", points.as_slice()), ("idx", idx.as_bytes())] {
            let name = self.member(self.options.urns.map.join(name).as_str());
            self.zip.member(&name, &[content], out)?;
        }
        let mut both = HashAlgorithm::Sha512.hasher();
        both.update(&points);
        both.update(idx.as_bytes());
        Ok([
            HashAlgorithm::Sha512.digest(&points),
            HashAlgorithm::Sha512.digest(idx.as_bytes()),
            both.finish(),
        ])
    }
}

impl ImageWriter for Aff4Writer {
    fn data_offset(&self, _index: usize) -> Option<u64> {
        // Nothing lies in one piece.
        None
    }

    fn encoder(&self) -> Option<Arc<dyn ChunkEncoder>> {
        let encoder: Arc<dyn ChunkEncoder> = self.encoder.clone();
        Some(encoder)
    }

    fn begin(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.begin()?;
        self.start_time = self.options.clock.now();
        if !self.options.linear_hashes.is_empty() {
            self.linear = Some(LinearHash::start(&self.options.linear_hashes)?);
        }
        let volume = self.options.urns.volume.as_str().as_bytes();
        self.zip.member(DESCRIPTION, &[volume], out)?;
        let version = format!("major=1\nminor=0\ntool={}\n", one_line(&self.options.tool));
        self.zip.member(VERSION, &[version.as_bytes()], out)?;
        let journal = document(&self.options, &self.plan, &self.start_time, None);
        self.zip.member(JOURNAL, &[&journal], out)
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.advance(chunk)?;
        self.feed_linear(chunk);
        if chunk.is_zero {
            return self.place(chunk, &mut std::iter::repeat(Block::Zero), out);
        }
        let encoder = Arc::clone(&self.encoder);
        let mut scratch = std::mem::take(&mut self.scratch);
        let encoded = match chunk.frame {
            Some(frame) => frame,
            None => {
                encoder.encode(chunk.start, chunk.data, &mut scratch);
                &scratch
            }
        };
        let placed = match encoder.decode(encoded) {
            Some(mut blocks) => self.place(chunk, &mut blocks, out),
            None => Err(WriteError::Misuse("a chunk was encoded by something else")),
        };
        self.scratch = scratch;
        placed
    }

    fn finish(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.finish()?;
        self.settle_zeros(out)?;
        let size = self.stream.next_offset();
        self.stream.flush(&mut self.zip, out)?;
        let [points, idx, map] = self.write_map(out)?;
        let stream = self.stream.summary(size);
        let mut blocks = HashAlgorithm::Sha512.hasher();
        let digests = stream.block_hashes.iter().map(|(_, digest)| digest);
        for digest in digests.chain([&points, &idx]) {
            blocks.update(digest.as_bytes());
        }
        for file in &self.options.files {
            self.zip
                .member(&escaped_path(&file.path), &[&file.content], out)?;
        }
        let ending = Ending {
            end_time: self.options.clock.now(),
            stream,
            map: MapHashes {
                points,
                idx,
                map,
                blocks: blocks.finish(),
            },
            linear: match self.linear.take() {
                Some(linear) => linear.finish()?,
                None => Vec::new(),
            },
        };
        let information = document(&self.options, &self.plan, &self.start_time, Some(&ending));
        self.zip.member(INFORMATION, &[&information], out)?;
        self.zip.finish(self.options.urns.volume.as_str(), out)
    }
}

/// Names that others look for, or that would name two members.
fn check_files(options: &Aff4Options) -> Result<(), WriteError> {
    let mut names: Vec<String> = options
        .files
        .iter()
        .map(|file| escaped_path(&file.path))
        .collect();
    names.extend([DESCRIPTION, VERSION, JOURNAL, INFORMATION].map(str::to_owned));
    names.sort_unstable();
    match names
        .windows(2)
        .find(|pair| matches!(pair, [a, b] if a == b))
    {
        Some([name, ..]) => Err(WriteError::Unsupported(format!(
            "the volume would have two members of the name {name}"
        ))),
        _ => Ok(()),
    }
}

fn one_line(text: &str) -> String {
    text.replace(|char: char| char.is_control(), " ")
}
