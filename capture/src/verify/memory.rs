// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory in an image, chunk by chunk.

use super::check::Fault;
use super::layout::{Chunk, ZeroSums};
use super::side_by_side::{Plain, sums};
use crate::frame::FrameDecoder;
use crate::hash::{Backend, sha256};
use linpmem_formats::{Format, ImageReader, ReadAt, Truncation};
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysRange, Unreadable, Unreadables};
use std::io;

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
    file: &'a dyn ReadAt,
    length: u64,
    buffer: Vec<u8>,
    frame: Vec<u8>,
    decoder: FrameDecoder,
    zeros: ZeroSums,
    backend: Backend,
}

/// The sum of a chunk, if it is known without those of others.
enum Sum {
    Known(Sha256Sum),
    OfPlain(Plain),
}

impl<'a> Memory<'a> {
    /// Prepares to check chunks of `file`, which has `length` bytes.
    pub fn looking(self, file: &'a dyn ReadAt, length: u64) -> Looking<'a> {
        Looking {
            memory: self,
            file,
            length,
            buffer: Vec::new(),
            frame: Vec::new(),
            decoder: FrameDecoder::default(),
            zeros: ZeroSums::default(),
            backend: Backend::best(),
        }
    }
}

impl Looking<'_> {
    /// Compares chunks, and says what is wrong with each.
    pub fn at(&mut self, chunks: &[Chunk<'_>]) -> Vec<Result<(), Fault>> {
        let mut plain = Vec::new();
        let found: Vec<Result<Option<Sha256Sum>, Fault>> = chunks
            .iter()
            .map(|chunk| match self.sum(chunk)? {
                Sum::Known(sum) => Ok(Some(sum)),
                Sum::OfPlain(place) => {
                    plain.push(place);
                    Ok(None)
                }
            })
            .collect();
        let mut sums = sums(self.file, &plain, self.backend).into_iter();
        let missing = || {
            Err(Fault::Unreadable(
                "it was not hashed; this is a bug".to_owned(),
            ))
        };
        found
            .into_iter()
            .zip(chunks)
            .map(|(found, chunk)| {
                let sum = match found? {
                    Some(sum) => sum,
                    None => sums.next().unwrap_or_else(missing)?,
                };
                match sum == self.zeros.of_chunk(chunk) {
                    true => Ok(()),
                    false => Err(Fault::Differs),
                }
            })
            .collect()
    }

    fn sum(&mut self, chunk: &Chunk<'_>) -> Result<Sum, Fault> {
        let offset = match (self.memory, chunk.offset) {
            (Memory::Read(image), _) => {
                self.read(image, chunk)?;
                return Ok(Sum::Known(self.zeros.of_chunk(chunk)));
            }
            (Memory::InPlace, Some(offset)) => offset,
            (Memory::InPlace, None) => return Err(Fault::Missing),
        };
        let length = chunk.length;
        if offset.saturating_add(length) > self.length {
            return Err(Fault::Missing);
        }
        if chunk.is_compressed {
            return self.compressed(chunk, offset).map(Sum::Known);
        }
        Ok(match self.file.hole(offset).min(length) {
            whole if whole == length => Sum::Known(self.zeros.of(length)),
            _ => Sum::OfPlain(Plain { offset, length }),
        })
    }

    fn compressed(&mut self, chunk: &Chunk<'_>, offset: u64) -> Result<Sha256Sum, Fault> {
        self.frame.resize(u64_as_usize(chunk.length), 0);
        self.file
            .read_exact_at(offset, &mut self.frame)
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
