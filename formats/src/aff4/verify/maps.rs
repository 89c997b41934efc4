// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking the hashes of maps, and of an image over its maps.

use super::{Verifier, again, one};
use crate::OverBudget;
use crate::aff4::HashAlgorithm;
use crate::aff4::Level;
use crate::aff4::digest::{Digest, Hasher};
use crate::aff4::mapped::{Mapped, Source};
use std::io;

impl Verifier<'_> {
    /// Checks the hashes that the description gives for a map.
    pub(super) fn map(&mut self, urn: &str, map: &Mapped) -> Result<(), OverBudget> {
        let all = self.stated(urn);
        let linear = self.linear(map, map.work(), &all, "hash")?;
        for stated in &all {
            let algorithm = stated.algorithm;
            let (level, computed) = match stated.property.as_str() {
                "mapPointHash" => (Level::Map, self.map_parts(urn, &["map"], algorithm)),
                "mapIdxHash" => (Level::Map, self.map_parts(urn, &["idx"], algorithm)),
                "mapPathHash" => (Level::Map, self.map_parts(urn, &["mapPath"], algorithm)),
                "mapHash" => {
                    let parts = ["map", "idx", "mapPath"];
                    (Level::Map, self.map_parts(urn, &parts, algorithm))
                }
                "blockMapHash" => (
                    Level::BlockMap,
                    self.block_map(urn, algorithm, |_| algorithm),
                ),
                // Before the standard: each algorithm hashes its own hashes.
                "blockHashesHash" => (Level::BlockMap, self.block_map(urn, algorithm, |own| own)),
                "hash" => (
                    Level::Linear,
                    match &linear {
                        Ok(digests) => one(digests, algorithm),
                        Err(error) => Err(again(error)),
                    },
                ),
                _ => {
                    self.unknown(Level::Map, urn, stated)?;
                    continue;
                }
            };
            self.conclude(level, urn, stated, computed)?;
        }
        Ok(())
    }

    /// The hash of some of a map's members, concatenated.
    fn map_parts(&self, urn: &str, parts: &[&str], algorithm: HashAlgorithm) -> io::Result<Digest> {
        let mut hasher = algorithm.hasher();
        for part in parts {
            if let Some(member) = self.content(&format!("{urn}/{part}"))? {
                hasher.update(&member);
            }
        }
        Ok(hasher.finish())
    }

    /// The hash over the hashes of chunks and of the map's members. `outer` gives the
    /// algorithm that hashes the chunk hashes of an algorithm.
    fn block_map(
        &mut self,
        urn: &str,
        algorithm: HashAlgorithm,
        outer: impl Fn(HashAlgorithm) -> HashAlgorithm,
    ) -> io::Result<Digest> {
        if let Some(known) = self.block_maps.get(&(urn.to_owned(), algorithm)) {
            return Ok(known.clone());
        }
        let mut hasher = algorithm.hasher();
        for stream in self.own_streams(urn) {
            let Some(Source::Stream(stream)) = self.reader.objects.opened.get(stream) else {
                continue;
            };
            for inner in HashAlgorithm::ALL {
                if stream
                    .block_hashes(0, inner)
                    .is_ok_and(|hashes| hashes.is_some())
                {
                    let digest = self.chunk_hashes(stream, inner, outer(inner))?;
                    hasher.update(digest.as_bytes());
                }
            }
        }
        for part in ["map", "idx", "mapPath"] {
            if let Some(member) = self.content(&format!("{urn}/{part}"))? {
                hasher.update(algorithm.digest(&member).as_bytes());
            }
        }
        let digest = hasher.finish();
        self.block_maps
            .insert((urn.to_owned(), algorithm), digest.clone());
        Ok(digest)
    }

    /// The streams whose hashes belong to the map `urn`, sorted: those that are stored in
    /// the same volume, since each volume of a striped image vouches for its own. Where
    /// nothing says so, all that the map refers to.
    fn own_streams(&self, urn: &str) -> Vec<&str> {
        let mut streams: Vec<&str> = self.triples.iris(urn, "dependentStream").collect();
        if streams.is_empty() {
            streams = self.triples.iris(urn, "contains").collect();
        }
        streams.sort_unstable();
        let volumes: Vec<&str> = self.triples.iris(urn, "stored").collect();
        let is_own = |stream: &&str| {
            let mut stored = self.triples.iris(stream, "stored");
            stored.any(|volume| volumes.contains(&volume))
        };
        let own: Vec<&str> = streams.iter().copied().filter(|it| is_own(it)).collect();
        if own.is_empty() { streams } else { own }
    }

    /// Checks the hash of the image: the block map hash of its map, or the hash over
    /// those of all its maps.
    pub(super) fn image(&mut self) -> Result<(), OverBudget> {
        let image = self.reader.objects.image.clone();
        if self.reader.objects.data.contains(&image) {
            return Ok(());
        }
        for stated in self.stated(&image) {
            if stated.property != "hash" {
                continue;
            }
            let key = |urn: &String| (urn.clone(), stated.algorithm);
            let digests: Vec<&Digest> = self
                .reader
                .objects
                .data
                .iter()
                .filter_map(|urn| self.block_maps.get(&key(urn)))
                .collect();
            let computed = match digests.as_slice() {
                [] => {
                    self.unknown(Level::Image, &image, &stated)?;
                    continue;
                }
                [only] => (*only).clone(),
                several => {
                    let mut hasher: Hasher = stated.algorithm.hasher();
                    for digest in several {
                        hasher.update(digest.as_bytes());
                    }
                    hasher.finish()
                }
            };
            self.compare(Level::Image, &image, &stated, &computed)?;
        }
        Ok(())
    }
}
