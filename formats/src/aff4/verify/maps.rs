// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking the hashes of maps, and of an image over its maps.

use super::streams::chunk_hashes;
use super::{Verifier, linear};
use crate::ReadAt;
use crate::aff4::HashAlgorithm;
use crate::aff4::Level;
use crate::aff4::digest::{Digest, Hasher};
use crate::aff4::mapped::Source;
use std::io;

impl Verifier<'_> {
    /// Checks the hashes that the description gives for a map.
    pub(super) fn map(&mut self, urn: &str, map: &dyn ReadAt) {
        for stated in self.stated(urn) {
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
                "hash" => (Level::Linear, linear(map, algorithm)),
                _ => {
                    self.unknown(Level::Map, urn, &stated);
                    continue;
                }
            };
            self.conclude(level, urn, &stated, computed);
        }
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
        let mut hasher = algorithm.hasher();
        let mut streams: Vec<&str> = self.triples.iris(urn, "dependentStream").collect();
        streams.sort_unstable();
        for stream in streams {
            let Some(Source::Stream(stream)) = self.reader.objects.opened.get(stream) else {
                continue;
            };
            for inner in HashAlgorithm::ALL {
                if stream
                    .block_hashes(0, inner)
                    .is_ok_and(|hashes| hashes.is_some())
                {
                    let digest = chunk_hashes(stream, inner, outer(inner))?;
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

    /// Checks the hash of the image: the block map hash of its map, or the hash over
    /// those of all its maps.
    pub(super) fn image(&mut self) {
        let image = self.reader.objects.image.clone();
        if self.reader.objects.data.contains(&image) {
            return;
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
                    self.unknown(Level::Image, &image, &stated);
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
            self.compare(Level::Image, &image, &stated, &computed);
        }
    }
}
