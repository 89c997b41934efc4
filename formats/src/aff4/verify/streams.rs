// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking the hashes of a stream: of its chunks, of their hashes, of its indexes.

use super::{Verifier, again, one};
use crate::aff4::HashAlgorithm;
use crate::aff4::digest::Digest;
use crate::aff4::stream::{Stream, invalid};
use crate::aff4::{Level, Verdict};
use crate::{OverBudget, ReadAt};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::collections::BTreeMap;
use std::io;

impl Verifier<'_> {
    /// Checks each chunk against its hashes.
    pub(super) fn chunks(&mut self, stream: &Stream) -> Result<(), OverBudget> {
        let mut chunk = vec![0; u64_as_usize(stream.chunk_bytes())];
        let mut totals: BTreeMap<HashAlgorithm, Compared> = BTreeMap::new();
        for segment in stream.present() {
            let mut hashes = Vec::new();
            for algorithm in HashAlgorithm::ALL {
                match stream.block_hashes(segment, algorithm) {
                    Ok(Some(digests)) => hashes.push((algorithm, digests)),
                    Ok(None) => {}
                    Err(error) => totals
                        .entry(algorithm)
                        .or_default()
                        .mismatch(error.to_string()),
                }
            }
            if hashes.is_empty() {
                continue;
            }
            for (within, number) in stream.chunks_of(segment).enumerate() {
                self.work(stream.chunk_bytes())?;
                let content = stream.decompress(number, &mut chunk);
                for (algorithm, digests) in &hashes {
                    let total = totals.entry(*algorithm).or_default();
                    let len = algorithm.digest_bytes();
                    let stated = digests.chunks_exact(len).nth(within);
                    match (&content, stated) {
                        (_, None) => {
                            total.mismatch(format!("chunk {number} has no hash"));
                            continue;
                        }
                        (Err(error), _) => total.mismatch(error.to_string()),
                        (Ok(Err(what)), _) => total.mismatch(format!("chunk {number}: {what}")),
                        (Ok(Ok(found)), Some(stated)) => {
                            let digest = chunk.get(..*found).map(|c| algorithm.digest(c));
                            if digest.is_some_and(|digest| digest.as_bytes() == stated) {
                                total.matching += 1;
                            } else {
                                total.mismatch(format!("chunk {number} differs"));
                            }
                        }
                    }
                }
            }
        }
        for (algorithm, total) in totals {
            let verdict = total.verdict();
            self.report(Level::Chunks, stream.urn(), Some(algorithm), verdict)?;
        }
        Ok(())
    }

    /// Checks the hashes that the description gives for a stream.
    pub(super) fn stream(&mut self, urn: &str, stream: &Stream) -> Result<(), OverBudget> {
        for algorithm in HashAlgorithm::ALL {
            let object = format!("{urn}/blockhash.{algorithm}");
            for stated in self.stated(&object) {
                let computed = self.chunk_hashes(stream, algorithm, stated.algorithm);
                match computed {
                    Ok(digest) => {
                        self.compare(Level::ChunkHashes, &object, &stated, &digest)?;
                    }
                    Err(error) => {
                        let verdict = Verdict::Mismatch(error.to_string());
                        self.report(Level::ChunkHashes, &object, Some(algorithm), verdict)?;
                    }
                }
            }
        }
        let all = self.stated(urn);
        let linear = self.linear(stream, stream.len(), &all, "hash")?;
        for stated in &all {
            let algorithm = stated.algorithm;
            let (level, computed) = match stated.property.as_str() {
                "hash" => (
                    Level::Stream,
                    match &linear {
                        Ok(digests) => one(digests, algorithm),
                        Err(error) => Err(again(error)),
                    },
                ),
                "imageStreamIndexHash" => (Level::Indexes, self.indexes(stream, algorithm)),
                // Before the standard: each algorithm hashes its own hashes.
                "blockHashesHash" => (
                    Level::ChunkHashes,
                    self.chunk_hashes(stream, algorithm, algorithm),
                ),
                _ => {
                    self.unknown(Level::Stream, urn, stated)?;
                    continue;
                }
            };
            self.conclude(level, urn, stated, computed)?;
        }
        Ok(())
    }

    /// The hash by `outer` of all chunk hashes by `inner`.
    pub(super) fn chunk_hashes(
        &self,
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
            self.work(usize_as_u64(digests.len()))?;
            hasher.update(&digests);
        }
        Ok(hasher.finish())
    }

    fn indexes(&self, stream: &Stream, algorithm: HashAlgorithm) -> io::Result<Digest> {
        let mut hasher = algorithm.hasher();
        for segment in 0..stream.segments() {
            let index = stream
                .index(segment)
                .map_err(invalid)?
                .ok_or_else(|| missing(format!("segment {segment} has no index")))?;
            self.work(usize_as_u64(index.len()))?;
            hasher.update(&index);
        }
        Ok(hasher.finish())
    }
}

/// How many chunks of a stream match their hashes.
#[derive(Default)]
struct Compared {
    matching: u64,
    differing: u64,
    /// The first difference.
    first: Option<String>,
}

impl Compared {
    fn mismatch(&mut self, what: String) {
        self.differing += 1;
        self.first.get_or_insert(what);
    }

    fn verdict(self) -> Verdict {
        match self.first {
            None => Verdict::Match,
            Some(first) => Verdict::Mismatch(format!(
                "{} of {} chunks, the first: {first}",
                self.differing,
                self.matching + self.differing
            )),
        }
    }
}

fn missing(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}
