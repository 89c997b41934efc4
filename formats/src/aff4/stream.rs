// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a stream of compressed chunks.

use super::compression::Method;
use super::schema::EVIMETRY;
use super::store::Store;
use super::zip::Member;
use super::{Error, HashAlgorithm};
use crate::ReadAt;
use crate::cache::Cache;
use crate::fields::Fields;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The largest chunk to accept, since reading any byte decompresses all of it.
const MAX_CHUNK_BYTES: u64 = 16 << 20;
/// Size of the decompressed chunks to keep, for all streams together.
const CHUNK_CACHE_BYTES: usize = 32 << 20;
/// Size of the open segments to keep; deflated ones can be large.
const SEGMENT_CACHE_BYTES: usize = 64 << 20;
/// The most that a byte of a segment can hold: deflate has a factor of 1032, the other
/// methods less.
const MAX_RATIO: u64 = 1100;
/// A stream may state this many times what its segments can hold, since some may be lost.
const LOST_RATIO: u64 = 8;
/// And this many bytes more.
const LOST_BYTES: u64 = 256 << 20;

/// What all streams of an image share.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    chunks: Cache<(usize, u64), Result<Vec<u8>, &'static str>>,
    segments: Cache<(usize, u64), Result<Segment, String>>,
}

/// A stream of compressed chunks. All chunks have the same size.
pub(super) struct Stream {
    shared: Arc<Shared>,
    /// Identifies the stream in the caches.
    number: usize,
    urn: String,
    size: u64,
    chunk_bytes: u64,
    chunks_in_segment: u64,
    method: Method,
    dialect: Dialect,
    /// The numbers of the segments in the volume, sorted.
    present: Vec<u64>,
}

/// How the chunks of a segment are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// `SEGMENT.index`: u64 offset and u32 length of each chunk.
    Standard,
    /// `SEGMENT/index`: u32 offset of each chunk, which ends where the next one begins.
    Old,
    /// `SEGMENT/index`, by Evimetry: u32 end of each chunk, which begins where the one
    /// before it ends.
    OldEnds,
}

/// The segments of a stream that are in the volume.
#[derive(Default)]
struct Found {
    numbers: Vec<u64>,
    has_old_index: bool,
    /// The most bytes that they can hold.
    capacity: u64,
}

struct Segment {
    bytes: Member,
    index: Member,
}

impl Shared {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            chunks: Cache::new(CHUNK_CACHE_BYTES),
            segments: Cache::new(SEGMENT_CACHE_BYTES),
        }
    }
}

impl Stream {
    /// Opens the stream `urn`.
    pub(super) fn open(shared: &Arc<Shared>, number: usize, urn: &str) -> Result<Self, Error> {
        let triples = shared.store.triples();
        let wrong = |what: String| Error::object(urn, what);
        let chunk_bytes = triples
            .number(urn, &["chunkSize", "chunk_size"])
            .unwrap_or(32 << 10);
        if !(1..=MAX_CHUNK_BYTES).contains(&chunk_bytes) {
            return Err(wrong(format!(
                "its chunk size of {chunk_bytes} bytes is not supported (1 byte to 16 MiB)"
            )));
        }
        let chunks_in_segment = triples
            .number(
                urn,
                &[
                    "chunksInSegment",
                    "chunks_in_segment",
                    "chunks_per_segment",
                    "chunksPerSegment",
                ],
            )
            .unwrap_or(1024);
        if !(1..=u64::from(u32::MAX)).contains(&chunks_in_segment) {
            return Err(wrong(format!(
                "its number of {chunks_in_segment} chunks in a segment is not supported"
            )));
        }
        let size = triples
            .number(urn, &["size"])
            .ok_or_else(|| wrong("it has no size".to_owned()))?;
        let uri = triples
            .iris(urn, "compressionMethod")
            .chain(triples.iris(urn, "CompressionMethod"))
            .chain(triples.iris(urn, "compression"))
            .next();
        let method = match uri {
            None => Method::Stored,
            Some(uri) => Method::from_uri(uri)
                .ok_or_else(|| wrong(format!("its compression {uri} is not supported")))?,
        };
        let found = Found::of(&shared.store, urn, chunk_bytes, chunks_in_segment)?;
        let most = found
            .capacity
            .saturating_mul(LOST_RATIO)
            .saturating_add(LOST_BYTES);
        if size > most {
            return Err(wrong(format!(
                "it states {size} bytes, of which the segments in the volume can hold {} at most: \
                 the volume is damaged or forged. Get another copy of it",
                found.capacity
            )));
        }
        let is_evimetry = triples.iris(urn, "a").any(|iri| iri.starts_with(EVIMETRY));
        Ok(Self {
            shared: Arc::clone(shared),
            number,
            urn: urn.to_owned(),
            size,
            chunk_bytes,
            chunks_in_segment,
            method,
            dialect: match (found.has_old_index, is_evimetry) {
                (false, _) => Dialect::Standard,
                (true, false) => Dialect::Old,
                (true, true) => Dialect::OldEnds,
            },
            present: found.numbers,
        })
    }

    pub(super) fn urn(&self) -> &str {
        &self.urn
    }

    pub(super) fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    pub(super) fn chunks(&self) -> u64 {
        self.size.div_ceil(self.chunk_bytes)
    }

    pub(super) fn segments(&self) -> u64 {
        self.chunks().div_ceil(self.chunks_in_segment)
    }

    /// The numbers of the segments that the volume has, up to the stated size.
    pub(super) fn present(&self) -> impl Iterator<Item = u64> {
        let segments = self.segments();
        let stated = move |number: &u64| *number < segments;
        self.present.iter().copied().take_while(stated)
    }

    /// The chunks of a segment, by their index in the stream.
    pub(super) fn chunks_of(&self, segment: u64) -> Range<u64> {
        let chunks = self.chunks();
        let end = |first: u64| {
            let end = first.checked_add(self.chunks_in_segment);
            end.map_or(chunks, |end| end.min(chunks))
        };
        match segment.checked_mul(self.chunks_in_segment) {
            Some(first) => first.min(chunks)..end(first),
            None => chunks..chunks,
        }
    }

    /// The digests of a segment's chunks by `algorithm`, if the volume has them.
    pub(super) fn block_hashes(
        &self,
        segment: u64,
        algorithm: HashAlgorithm,
    ) -> Result<Option<Vec<u8>>, Error> {
        let between = match self.dialect {
            Dialect::Standard | Dialect::Old => '.',
            Dialect::OldEnds => '/',
        };
        let urn = format!("{}/{segment:08}{between}blockHash.{algorithm}", self.urn);
        self.shared.store.content(&urn)
    }

    /// The index of a segment.
    pub(super) fn index(&self, segment: u64) -> Result<Option<Vec<u8>>, Error> {
        self.shared.store.content(&self.index_urn(segment))
    }

    fn index_urn(&self, segment: u64) -> String {
        let suffix = match self.dialect {
            Dialect::Standard => ".index",
            Dialect::Old | Dialect::OldEnds => "/index",
        };
        format!("{}/{segment:08}{suffix}", self.urn)
    }

    fn segment(&self, number: u64) -> io::Result<Arc<Result<Segment, String>>> {
        let key = (self.number, number);
        if let Some(segment) = self.shared.segments.get(&key) {
            return Ok(segment);
        }
        let store = &self.shared.store;
        let urn = format!("{}/{number:08}", self.urn);
        let bytes = store.member(&urn).map_err(invalid)?;
        let index = store.member(&self.index_urn(number)).map_err(invalid)?;
        let segment = Arc::new(match (bytes, index) {
            (Some(bytes), Some(index)) => Ok(Segment { bytes, index }),
            _ => Err(format!("the segment {urn} or its index is missing")),
        });
        let bytes = match &*segment {
            Ok(segment) => segment.bytes.held() + segment.index.held(),
            Err(text) => text.len(),
        };
        self.shared.segments.put(key, Arc::clone(&segment), bytes);
        Ok(segment)
    }

    /// Decompresses a chunk into the beginning of `target`, which is as long as a chunk,
    /// and returns the size of its content, or what is wrong with the chunk.
    pub(super) fn decompress(
        &self,
        chunk: u64,
        target: &mut [u8],
    ) -> io::Result<Result<usize, &'static str>> {
        let segment = self.segment(chunk / self.chunks_in_segment)?;
        let segment = match &*segment {
            Ok(segment) => segment,
            Err(text) => return Err(io::Error::new(io::ErrorKind::NotFound, text.clone())),
        };
        let place = self.place(segment, chunk % self.chunks_in_segment);
        let Some((offset, len)) = place else {
            return Ok(Err("it is not in the index of its segment"));
        };
        // No method makes a chunk longer than this.
        if len > 2 * self.chunk_bytes + (1 << 16) {
            return Ok(Err("it is larger than any compression makes it"));
        }
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > segment.bytes.len()) {
            return Ok(Err("it ends beyond its segment"));
        }
        let mut compressed = vec![0; u64_as_usize(len)];
        segment.bytes.read_exact_at(offset, &mut compressed)?;
        Ok(self
            .method
            .decompress(&compressed, target)
            .ok_or("it cannot be decompressed, or holds more than a chunk"))
    }

    /// The offset and length of a chunk in its segment, in bytes.
    fn place(&self, segment: &Segment, within: u64) -> Option<(u64, u64)> {
        let offset = |within: u64| {
            let mut record = [0; 4];
            let at = within.checked_mul(4)?;
            segment.index.read_exact_at(at, &mut record).ok()?;
            Some(u64::from(u32::from_le_bytes(record)))
        };
        match self.dialect {
            Dialect::Standard => {
                let mut record = [0; 12];
                let offset = within.checked_mul(12)?;
                segment.index.read_exact_at(offset, &mut record).ok()?;
                let mut fields = Fields(&record);
                Some((fields.u64()?, u64::from(fields.u32()?)))
            }
            Dialect::OldEnds => {
                let start = match within.checked_sub(1) {
                    Some(before) => offset(before)?,
                    None => 0,
                };
                Some((start, offset(within)?.checked_sub(start)?))
            }
            Dialect::Old => {
                let start = offset(within)?;
                let end = within
                    .checked_add(1)
                    .and_then(offset)
                    .unwrap_or_else(|| segment.bytes.len());
                Some((start, end.checked_sub(start)?))
            }
        }
    }

    fn damaged(&self, chunk: u64, what: &str) -> io::Error {
        let message = format!("chunk {chunk} of {} is damaged: {what}", self.urn);
        io::Error::new(io::ErrorKind::InvalidData, message)
    }

    fn cached(&self, chunk: u64) -> io::Result<Arc<Result<Vec<u8>, &'static str>>> {
        let key = (self.number, chunk);
        if let Some(content) = self.shared.chunks.get(&key) {
            return Ok(content);
        }
        let mut content = vec![0; u64_as_usize(self.chunk_bytes)];
        let content = Arc::new(self.decompress(chunk, &mut content)?.map(|len| {
            content.truncate(len);
            content
        }));
        let bytes = content.as_ref().as_ref().map_or(0, Vec::len);
        self.shared.chunks.put(key, Arc::clone(&content), bytes);
        Ok(content)
    }
}

/// Work that looking at the name of a member stands for.
const MEMBER_WORK: u64 = 256;

impl Found {
    /// The segments of the stream `urn` in the volumes.
    fn of(store: &Store, urn: &str, chunk_bytes: u64, in_segment: u64) -> Result<Self, Error> {
        const WHAT: &str = "the segments of an AFF4 image";
        let account = store.account();
        let mut found = Self::default();
        // Of the segment whose members come next, its bytes and the chunks in its index.
        let (mut bytes, mut chunks) = (0, 0);
        for (name, entry) in store.below(urn) {
            account.work(WHAT, MEMBER_WORK)?;
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            let Some((Ok(number), kind)) = name
                .split_at_checked(digits)
                .map(|(digits, kind)| (digits.parse::<u64>(), kind))
            else {
                continue;
            };
            if found.numbers.last() != Some(&number) {
                found.add(bytes, chunks, chunk_bytes);
                (bytes, chunks) = (0, 0);
                account.hold_items::<u64>(WHAT, 1)?;
                found.numbers.push(number);
            }
            match kind {
                "" => bytes = entry.content_bytes,
                ".index" => chunks = (entry.content_bytes / 12).min(in_segment),
                "/index" => {
                    chunks = (entry.content_bytes / 4).min(in_segment);
                    found.has_old_index = true;
                }
                _ => {}
            }
        }
        found.add(bytes, chunks, chunk_bytes);
        found.numbers.sort_unstable();
        found.numbers.dedup();
        Ok(found)
    }

    /// Adds the capacity of a segment.
    fn add(&mut self, bytes: u64, chunks: u64, chunk_bytes: u64) {
        // What exceeds 2^64 bytes is more than any stream states.
        let indexed = chunks.saturating_mul(chunk_bytes);
        let held = bytes.saturating_mul(MAX_RATIO);
        self.capacity = self.capacity.saturating_add(indexed.min(held));
    }
}

impl ReadAt for Stream {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(usize_as_u64(buf.len()));
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut offset = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let chunk = offset / self.chunk_bytes;
            let within = u64_as_usize(offset % self.chunk_bytes);
            let left = u64_as_usize(self.chunk_bytes) - within;
            let (target, tail) = rest.split_at_mut(left.min(rest.len()));
            if target.len() == u64_as_usize(self.chunk_bytes) {
                // The caller wants all of it, so the cache would not be used again.
                match self.decompress(chunk, target)? {
                    Ok(found) if found == target.len() => {}
                    Ok(_) => return Err(self.damaged(chunk, "it holds less than it should")),
                    Err(what) => return Err(self.damaged(chunk, what)),
                }
            } else {
                let content = self.cached(chunk)?;
                let content = (*content)
                    .as_ref()
                    .map_err(|what| self.damaged(chunk, what))?;
                let source = content
                    .get(within..within + target.len())
                    .ok_or_else(|| self.damaged(chunk, "it holds less than it should"))?;
                target.copy_from_slice(source);
            }
            offset += usize_as_u64(target.len());
            rest = tail;
        }
        Ok(())
    }
}

pub(super) fn invalid(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}
