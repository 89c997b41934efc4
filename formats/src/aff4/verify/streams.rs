// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hashes of a stream: of its chunks, of their hashes, of its indexes.

use super::{Verifier, linear};
use crate::aff4::HashAlgorithm;
use crate::aff4::check::{Level, Verdict};
use crate::aff4::digest::Digest;
use crate::aff4::stream::{Stream, invalid};
use std::collections::BTreeMap;
use std::io;

impl Verifier<'_> {
    /// Each chunk against its hashes.
    pub(super) fn chunks(&mut self, stream: &Stream) {
        let size = usize::try_from(stream.chunk_bytes()).unwrap_or(0);
        let mut chunk = vec![0; size];
        let mut totals: BTreeMap<HashAlgorithm, Compared> = BTreeMap::new();
        for segment in 0..stream.segments() {
            let mut hashes = Vec::new();
            for algorithm in HashAlgorithm::ALL {
                match stream.block_hashes(segment, algorithm) {
                    Ok(Some(digests)) => hashes.push((algorithm, digests)),
                    Ok(None) => {}
                    Err(error) => totals
                        .entry(algorithm)
                        .or_default()
                        .wrong(error.to_string()),
                }
            }
            if hashes.is_empty() {
                continue;
            }
            let first = segment.saturating_mul(stream.chunks_in_segment());
            let last = first
                .saturating_add(stream.chunks_in_segment())
                .min(stream.chunks());
            for (within, number) in (first..last).enumerate() {
                let content = stream.decompress(number, &mut chunk);
                for (algorithm, digests) in &hashes {
                    let total = totals.entry(*algorithm).or_default();
                    let len = algorithm.digest_bytes();
                    let from = within.saturating_mul(len);
                    let stated = digests.get(from..from.saturating_add(len));
                    match (&content, stated) {
                        (_, None) => {
                            total.wrong(format!("chunk {number} has no hash"));
                            // The member is too short for all that follow.
                            continue;
                        }
                        (Err(error), _) => total.wrong(error.to_string()),
                        (Ok(Err(what)), _) => total.wrong(format!("chunk {number}: {what}")),
                        (Ok(Ok(found)), Some(stated)) => {
                            let content = chunk.get(..*found).unwrap_or_default();
                            if algorithm.digest(content).as_bytes() == stated {
                                total.right = total.right.saturating_add(1);
                            } else {
                                total.wrong(format!("chunk {number} differs"));
                            }
                        }
                    }
                }
            }
        }
        for (algorithm, total) in totals {
            let verdict = total.verdict();
            self.tell(Level::Chunks, stream.urn(), Some(algorithm), verdict);
        }
    }

    /// What a stream states of itself.
    pub(super) fn stream(&mut self, urn: &str, stream: &Stream) {
        for algorithm in HashAlgorithm::ALL {
            let object = format!("{urn}/blockhash.{algorithm}");
            for stated in self.stated(&object) {
                match chunk_hashes(stream, algorithm, stated.algorithm) {
                    Ok(digest) => {
                        self.compare(Level::ChunkHashes, &object, &stated, &digest);
                    }
                    Err(error) => {
                        let verdict = Verdict::Wrong(error.to_string());
                        self.tell(Level::ChunkHashes, &object, Some(algorithm), verdict);
                    }
                }
            }
        }
        for stated in self.stated(urn) {
            let (level, computed) = match stated.property.as_str() {
                "hash" => (Level::Stream, linear(stream, stated.algorithm)),
                "imageStreamIndexHash" => (Level::Indexes, indexes(stream, stated.algorithm)),
                // Before the standard: each algorithm over its own hashes.
                "blockHashesHash" => (
                    Level::ChunkHashes,
                    chunk_hashes(stream, stated.algorithm, stated.algorithm),
                ),
                _ => {
                    self.unknown(Level::Stream, urn, &stated);
                    continue;
                }
            };
            self.conclude(level, urn, &stated, computed);
        }
    }
}

/// How many of a stream's chunks are as their hashes say.
#[derive(Default)]
struct Compared {
    right: u64,
    wrong: u64,
    first: Option<String>,
}

impl Compared {
    fn wrong(&mut self, what: String) {
        self.wrong = self.wrong.saturating_add(1);
        self.first.get_or_insert(what);
    }

    fn verdict(self) -> Verdict {
        match self.first {
            None => Verdict::Right,
            Some(first) => Verdict::Wrong(format!(
                "{} of {} chunks, first: {first}",
                self.wrong,
                self.right.saturating_add(self.wrong)
            )),
        }
    }
}

/// The hash by `outer` of all chunk hashes by `inner`.
pub(super) fn chunk_hashes(
    stream: &Stream,
    inner: HashAlgorithm,
    outer: HashAlgorithm,
) -> io::Result<Digest> {
    let mut hasher = outer.hasher();
    for segment in 0..stream.segments() {
        let digests = stream
            .block_hashes(segment, inner)
            .map_err(invalid)?
            .ok_or_else(|| missing(format!("segment {segment} has no {inner} hashes")))?;
        hasher.update(&digests);
    }
    Ok(hasher.finish())
}

fn indexes(stream: &Stream, algorithm: HashAlgorithm) -> io::Result<Digest> {
    let mut hasher = algorithm.hasher();
    for segment in 0..stream.segments() {
        let index = stream
            .index(segment)
            .map_err(invalid)?
            .ok_or_else(|| missing(format!("segment {segment} has no index")))?;
        hasher.update(&index);
    }
    Ok(hasher.finish())
}

fn missing(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}
