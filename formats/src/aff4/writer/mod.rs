// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an AFF4 image, front to back.

mod placement;
#[cfg(test)]
mod tests;

use super::bevy::StreamBuilder;
use super::describe::{Ending, MapHashes, document};
use super::digest::Digest;
use super::encoder::{Block, Encoder};
use super::linear_hash::LinearHash;
use super::map::{MapBuilder, idx};
use super::schema::{DESCRIPTION, INFORMATION, JOURNAL, VERSION, VMCOREINFO};
use super::urn::{escaped_path, member_name};
use super::zip::{Family, ZipStream};
use super::{File, HashAlgorithm, Options};
use crate::write_order::WriteOrder;
use crate::{Chunk, ChunkEncoder, ImageOutput, ImagePlan, ImageWriter, WriteError};
use bytes::Bytes;
use linpmem_phys::num::usize_as_u64;
use placement::Zeros;
use std::sync::Arc;

/// Writes an AFF4 v1.0 image: a map over one stream in a zip volume.
///
/// Holes and zeros take no space, pages that could not be read are marked as such, and the
/// image distinguishes RAM that is zero from holes. [`ImageWriter::encoder`] compresses and
/// hashes blocks, which several threads can do; the writer does it itself for a chunk
/// without [`Chunk::frame`]. The file is the same either way.
///
/// The writer keeps no memory: blocks go to the output as they come. It needs room for the
/// index and the digests of one segment, the map (28 bytes per record) and a directory entry
/// per member. The linear hashes, if there are any, have a thread of their own.
#[derive(Debug)]
pub struct Writer {
    plan: ImagePlan,
    options: Options,
    order: WriteOrder,
    encoder: Arc<Encoder>,
    zip: ZipStream,
    stream: StreamBuilder,
    map: MapBuilder,
    linear: Option<LinearHash>,
    start_time: String,
    /// The address up to which everything is mapped or pending.
    next: u64,
    /// Zeros that are not mapped yet, since they may become blocks.
    zeros: Option<Zeros>,
    /// An encoded block of zeros, once one was needed.
    zero_block: Bytes,
    /// The names of the map's journal.
    journal: Family,
}

/// The most bytes of holes with which linear hashes are computed. Zeros are hashed like
/// everything else, at about 1 GiB per second, which delays the memory after the hole.
const MAX_HASHED_HOLES_BYTES: u64 = 16 << 30;

const OTHER_ENCODER: WriteError =
    WriteError::Misuse("a chunk was encoded by something other than this writer's encoder");

impl Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If the number of chunks in a segment is not 1 to 65,536, or two files have the same
    /// path.
    pub fn new(plan: &ImagePlan, mut options: Options) -> Result<Self, WriteError> {
        options.block_hashes.sort_unstable();
        options.block_hashes.dedup();
        options.linear_hashes.sort_unstable();
        options.linear_hashes.dedup();
        if !(1..=1 << 16).contains(&options.chunks_in_segment) {
            return Err(WriteError::Unsupported(
                "a segment of an AFF4 stream must have 1 to 65,536 chunks".to_owned(),
            ));
        }
        // The ranges are disjoint and lie below the end of the last one.
        let holes = plan.end().get() - plan.total().get();
        if holes > MAX_HASHED_HOLES_BYTES {
            options.linear_hashes.clear();
        }
        if let Some(text) = &plan.machine().vmcoreinfo {
            options.files.push(File::new(VMCOREINFO, text.clone()));
        }
        check_names(options.files.iter())?;
        let mut zip = ZipStream::default();
        let stream = StreamBuilder::new(
            &options.urns,
            &options.block_hashes,
            options.chunks_in_segment,
            &mut zip,
        );
        let urns = &options.urns;
        let journal = member_name(urns.volume.as_str(), urns.map.join("journal/").as_str());
        let journal = zip.family(journal, String::new());
        Ok(Self {
            order: WriteOrder::new(plan),
            encoder: Arc::new(Encoder::new(
                options.compression,
                options.block_hashes.clone(),
                options.sha256,
            )),
            zip,
            stream,
            journal,
            map: MapBuilder::default(),
            linear: None,
            start_time: String::new(),
            next: 0,
            zeros: None,
            zero_block: Bytes::new(),
            plan: plan.clone(),
            options,
        })
    }

    /// The linear hashes that the image will have. There are none if the holes in the plan
    /// exceed 16 GiB, since hashing so many zeros would delay the acquisition.
    #[must_use]
    pub fn linear_hashes(&self) -> &[HashAlgorithm] {
        &self.options.linear_hashes
    }

    fn member(&self, path: &str) -> String {
        member_name(self.options.urns.volume.as_str(), path)
    }

    fn feed_linear(&mut self, chunk: &Chunk<'_>) -> Result<(), WriteError> {
        let Some(linear) = &self.linear else {
            return Ok(());
        };
        linear.zeros(self.hole_before(chunk)?);
        if chunk.is_zero() && chunk.unreadable.is_empty() {
            linear.zeros(usize_as_u64(chunk.data.len()));
            return Ok(());
        }
        linear.data(chunk)
    }

    /// Bytes between the last chunk and this one.
    fn hole_before(&self, chunk: &Chunk<'_>) -> Result<u64, WriteError> {
        let start = chunk.start.get();
        start
            .checked_sub(self.next)
            .ok_or(WriteError::Misuse("an AFF4 image went past the next chunk"))
    }

    fn write_map(&mut self, out: &mut dyn ImageOutput) -> Result<[Digest; 3], WriteError> {
        let points = self.map.encoded();
        let idx = idx(self.options.urns.stream.as_str());
        for (name, content) in [("map", points.as_slice()), ("idx", idx.as_bytes())] {
            let name = self.member(self.options.urns.map.join(name).as_str());
            self.zip.member(name.as_str(), content, out)?;
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

impl ImageWriter for Writer {
    fn data_offset(&self, _index: usize) -> Option<u64> {
        None // memory is compressed
    }

    fn encoder(&self) -> Option<Arc<dyn ChunkEncoder>> {
        let encoder: Arc<dyn ChunkEncoder> = self.encoder.clone();
        Some(encoder)
    }

    fn begin(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.begin()?;
        self.start_time = self.options.clock.now();
        if !self.options.linear_hashes.is_empty() {
            self.linear = Some(LinearHash::start(&self.options.linear_hashes)?);
        }
        let volume = self.options.urns.volume.as_str().as_bytes();
        self.zip.member(DESCRIPTION, volume, out)?;
        let version = format!("major=1\nminor=0\ntool={}\n", one_line(&self.options.tool));
        self.zip.member(VERSION, version.as_bytes(), out)?;
        let journal = document(&self.options, &self.plan, &self.start_time, None);
        self.zip.member(JOURNAL, &journal, out)
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.advance(chunk)?;
        self.feed_linear(chunk)?;
        if chunk.is_zero() {
            let blocks = &mut std::iter::repeat(Block::Zero);
            return self.place(chunk, &Bytes::new(), blocks, out);
        }
        let encoder = Arc::clone(&self.encoder);
        let encoded = match &chunk.frame {
            Some(frame) => frame.clone(),
            None => {
                let mut encoded = Vec::new();
                encoder.encode(chunk.start, &chunk.data, &mut encoded);
                encoded.into()
            }
        };
        let mut blocks = encoder.decode(&encoded).ok_or(OTHER_ENCODER)?;
        self.place(chunk, &encoded, &mut blocks, out)
    }

    fn finish(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.finish()?;
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
        let mut files = Vec::with_capacity(self.options.files.len());
        let late = self.options.late_files.get();
        check_names(self.options.files.iter().chain(late))?;
        for file in late.iter().chain(&self.options.files) {
            files.push(file.write(&escaped_path(&file.path), &mut self.zip, out)?);
        }
        let ending = Ending {
            end_time: self.options.clock.now(),
            files,
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
        self.zip.member(INFORMATION, &information, out)?;
        self.zip.finish(self.options.urns.volume.as_str(), out)
    }
}

/// Checks that no two members would have the same name.
fn check_names<'a>(files: impl Iterator<Item = &'a File>) -> Result<(), WriteError> {
    let mut names: Vec<String> = files.map(|file| escaped_path(&file.path)).collect();
    names.extend([DESCRIPTION, VERSION, JOURNAL, INFORMATION].map(str::to_owned));
    names.sort_unstable();
    match names
        .windows(2)
        .find(|pair| matches!(pair, [a, b] if a == b))
    {
        Some([name, ..]) => Err(WriteError::Unsupported(format!(
            "the volume would have two members named {name}; leave one of the files out"
        ))),
        _ => Ok(()),
    }
}

fn one_line(text: &str) -> String {
    text.replace(|char: char| char.is_control(), " ")
}
