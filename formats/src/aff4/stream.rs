// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a stream of compressed chunks.

use super::compression::Method;
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
const SEGMENT_CACHE_BYTES: usize = 128 << 20;

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
}

/// How the chunks of a segment are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// `SEGMENT.index`: u64 offset and u32 length of each chunk.
    Standard,
    /// `SEGMENT/index`: u32 offset of each chunk, which ends where the next one begins.
    Old,
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
                &["chunksInSegment", "chunks_per_segment", "chunksPerSegment"],
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
            .chain(triples.iris(urn, "compression"))
            .next();
        let method = match uri {
            None => Method::Stored,
            Some(uri) => Method::from_uri(uri)
                .ok_or_else(|| wrong(format!("its compression {uri} is not supported")))?,
        };
        let old = shared.store.member(&format!("{urn}/00000000/index"))?;
        Ok(Self {
            shared: Arc::clone(shared),
            number,
            urn: urn.to_owned(),
            size,
            chunk_bytes,
            chunks_in_segment,
            method,
            dialect: if old.is_some() {
                Dialect::Old
            } else {
                Dialect::Standard
            },
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
        let urn = format!("{}/{segment:08}.blockHash.{algorithm}", self.urn);
        self.shared.store.content(&urn)
    }

    /// The index of a segment.
    pub(super) fn index(&self, segment: u64) -> Result<Option<Vec<u8>>, Error> {
        self.shared.store.content(&self.index_urn(segment))
    }

    fn index_urn(&self, segment: u64) -> String {
        let suffix = match self.dialect {
            Dialect::Standard => ".index",
            Dialect::Old => "/index",
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
        match self.dialect {
            Dialect::Standard => {
                let mut record = [0; 12];
                let offset = within.checked_mul(12)?;
                segment.index.read_exact_at(offset, &mut record).ok()?;
                let mut fields = Fields(&record);
                Some((fields.u64()?, u64::from(fields.u32()?)))
            }
            Dialect::Old => {
                let at = |within: u64| {
                    let mut record = [0; 4];
                    let offset = within.checked_mul(4)?;
                    segment.index.read_exact_at(offset, &mut record).ok()?;
                    Some(u64::from(u32::from_le_bytes(record)))
                };
                let start = at(within)?;
                let end = within
                    .checked_add(1)
                    .and_then(at)
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
