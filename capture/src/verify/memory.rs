// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory in an image, chunk by chunk.

use super::check::Fault;
use super::layout::{Chunk, ZeroSums};
use crate::frame::FrameDecoder;
use crate::hash::{sha256, sha256_of};
use crate::sink::hole;
use linpmem_formats::{Format, ImageReader, Truncation};
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysRange, Unreadable, Unreadables};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read and hashed while they are in a processor's cache.
const STEP_BYTES: usize = 256 << 10;

/// How memory is found in an image.
#[derive(Clone, Copy)]
pub enum Memory<'a> {
    /// Each chunk is in one piece in the file.
    InPlace,
    /// Only the format's reader can find it.
    Read(&'a dyn ImageReader),
}

/// What one thread needs to check chunks.
pub struct Looking<'a> {
    memory: Memory<'a>,
    file: &'a File,
    length: u64,
    buffer: Vec<u8>,
    frame: Vec<u8>,
    decoder: FrameDecoder,
    zeros: ZeroSums,
}

impl<'a> Memory<'a> {
    /// Prepares to check chunks of `file`, which has `length` bytes.
    pub fn looking(self, file: &'a File, length: u64) -> Looking<'a> {
        Looking {
            memory: self,
            file,
            length,
            buffer: Vec::new(),
            frame: Vec::new(),
            decoder: FrameDecoder::default(),
            zeros: ZeroSums::default(),
        }
    }
}

impl Looking<'_> {
    /// Compares a chunk.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn at(&mut self, chunk: &Chunk<'_>) -> Result<(), Fault> {
        let sum = match (self.memory, chunk.offset) {
            (Memory::Read(image), _) => return self.read(image, chunk),
            (Memory::InPlace, Some(offset)) => {
                if offset.saturating_add(chunk.length) > self.length {
                    return Err(Fault::Missing);
                }
                if chunk.is_compressed {
                    self.compressed(chunk, offset)?
                } else if hole(self.file, self.length, offset, chunk.length) == chunk.length {
                    self.zeros.of(chunk.length)
                } else {
                    self.plain(chunk.length, offset)?
                }
            }
            (Memory::InPlace, None) => return Err(Fault::Missing),
        };
        if sum == self.zeros.of_chunk(chunk) {
            Ok(())
        } else {
            Err(Fault::Differs)
        }
    }

    fn plain(&mut self, len: u64, offset: u64) -> Result<Sha256Sum, Fault> {
        self.buffer.resize(STEP_BYTES, 0);
        let mut hasher = Sha256::new();
        let (mut position, mut left) = (offset, len);
        while left > 0 {
            let step = left.min(len_bytes(&self.buffer));
            let bytes = self
                .buffer
                .get_mut(..u64_as_usize(step))
                .unwrap_or_default();
            self.file
                .read_exact_at(bytes, position)
                .map_err(|error| unreadable(&error))?;
            hasher.update(bytes);
            position = position.saturating_add(step);
            left -= step;
        }
        Ok(sha256_of(hasher))
    }

    fn compressed(&mut self, chunk: &Chunk<'_>, offset: u64) -> Result<Sha256Sum, Fault> {
        self.frame.resize(u64_as_usize(chunk.length), 0);
        self.file
            .read_exact_at(&mut self.frame, offset)
            .map_err(|error| unreadable(&error))?;
        self.buffer.resize(u64_as_usize(chunk.bytes()), 0);
        match self.decoder.decode(&self.frame, &mut self.buffer) {
            Ok(()) => Ok(sha256(&self.buffer)),
            Err(_) => Err(Fault::Damaged),
        }
    }

    fn read(&mut self, image: &dyn ImageReader, chunk: &Chunk<'_>) -> Result<(), Fault> {
        self.buffer.resize(u64_as_usize(chunk.bytes()), 0);
        let mut unreadable = Unreadables::new();
        image
            .read_phys(chunk.addresses.start(), &mut self.buffer, &mut unreadable)
            .map_err(|error| Fault::Unreadable(error.to_string()))?;
        if sha256(&self.buffer) != self.zeros.of_chunk(chunk) {
            let is_cut = |item: &Unreadable| item.errno == Truncation::ERRNO;
            return Err(match unreadable.as_slice().iter().any(is_cut) {
                true => Fault::Missing,
                false => Fault::Differs,
            });
        }
        if !chunk.has_marks {
            return Ok(());
        }
        // Zeros alone do not show whether memory was read.
        let listed = &chunk.range.unreadable;
        let start = chunk.addresses.start();
        let first = listed.partition_point(|item| item.range.end() <= start);
        let recorded = listed
            .iter()
            .skip(first)
            .map_while(|item| item.range.intersect(chunk.addresses))
            // A dump holds a page of which a part could be read.
            .filter_map(|range| match image.format() {
                Format::Kdump => whole_pages(range),
                _ => Some(range),
            });
        let found = unreadable.as_slice().iter().map(|item| item.range);
        // AVML stores zeros there, and cannot mark them.
        if image.format() != Format::Avml && merged(recorded) != merged(found) {
            return Err(Fault::Marks);
        }
        Ok(())
    }
}

/// The whole pages of a range.
fn whole_pages(range: PhysRange) -> Option<PhysRange> {
    let page = PAGE_SIZE.get();
    let start = range.start().get().checked_next_multiple_of(page)?;
    let end = range.end().get() / page * page;
    PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).ok()
}

/// Merges neighbours, which the manifest may have split elsewhere.
fn merged(ranges: impl Iterator<Item = PhysRange>) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    for range in ranges {
        let (start, end) = (range.start().get(), range.end().get());
        match all.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => all.push((start, end)),
        }
    }
    all
}

fn unreadable(error: &io::Error) -> Fault {
    Fault::Unreadable(error.to_string())
}
