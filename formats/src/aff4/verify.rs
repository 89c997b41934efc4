// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking every hash that an image states.

use super::check::{Aff4Check, Aff4Level, Aff4Verdict};
use super::digest::{Digest, Hasher};
use super::mapped::Source;
use super::stream::Stream;
use super::turtle::{Graph, Term};
use super::{Aff4Reader, HashAlgorithm};
use crate::ReadAt;
use std::collections::BTreeMap;
use std::io;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

impl Aff4Reader {
    /// Checks every hash that the volumes state, from the archive's checksums up to
    /// the image's own, and tells `found` of each. Reads all of the image two or
    /// three times.
    pub fn verify(&self, mut found: impl FnMut(Aff4Check)) {
        let mut verifier = Verifier {
            reader: self,
            graph: self.store.graph(),
            found: &mut found,
            block_maps: BTreeMap::new(),
        };
        verifier.members();
        let mut objects: Vec<(&String, &Source)> = self.objects.opened.iter().collect();
        objects.sort_unstable_by_key(|(urn, _)| *urn);
        for (urn, source) in &objects {
            if let Source::Stream(stream) = source {
                verifier.chunks(stream);
                verifier.stream(urn, stream);
            }
        }
        for (urn, source) in &objects {
            if let Source::Map(map) = source {
                verifier.map(urn, &**map);
            }
        }
        verifier.image();
        verifier.files();
    }
}

struct Verifier<'a> {
    reader: &'a Aff4Reader,
    graph: &'a Graph,
    found: &'a mut dyn FnMut(Aff4Check),
    /// The block map hashes that were computed, by map and algorithm.
    block_maps: BTreeMap<(String, HashAlgorithm), Digest>,
}

/// A hash that an object states.
struct Stated {
    property: String,
    algorithm: HashAlgorithm,
    digest: String,
}

impl Verifier<'_> {
    fn tell(
        &mut self,
        level: Aff4Level,
        object: &str,
        algorithm: Option<HashAlgorithm>,
        verdict: Aff4Verdict,
    ) {
        (self.found)(Aff4Check {
            level,
            object: object.to_owned(),
            algorithm,
            verdict,
        });
    }

    fn compare(&mut self, level: Aff4Level, object: &str, stated: &Stated, computed: &Digest) {
        let verdict = compare(&stated.digest, computed);
        let object = format!("{object} {}", stated.property);
        self.tell(level, &object, Some(stated.algorithm), verdict);
    }

    /// The hashes that `urn` states.
    fn stated(&self, urn: &str) -> Vec<Stated> {
        self.graph
            .properties(urn)
            .iter()
            .filter_map(|(property, value)| {
                let Term::Literal { text, datatype } = value else {
                    return None;
                };
                let datatype = datatype.strip_prefix("blockMapHash").unwrap_or(datatype);
                Some(Stated {
                    property: property.clone(),
                    algorithm: HashAlgorithm::from_datatype(datatype)?,
                    digest: text.clone(),
                })
            })
            .collect()
    }

    fn members(&mut self) {
        for (_, entry, member) in self.reader.store.all() {
            let verdict = match member
                .map_err(|error| error.to_string())
                .and_then(|member| {
                    let mut crc = crc32fast::Hasher::new();
                    each_piece(&member, |piece| crc.update(piece))
                        .map_err(|error| error.to_string())?;
                    Ok(crc.finalize())
                }) {
                Ok(crc) if crc == entry.crc => Aff4Verdict::Right,
                Ok(crc) => Aff4Verdict::Wrong(format!(
                    "its checksum is {crc:08x} and not {:08x}",
                    entry.crc
                )),
                Err(error) => Aff4Verdict::Wrong(error),
            };
            (self.found)(Aff4Check {
                level: Aff4Level::Member,
                object: entry.name.clone(),
                algorithm: None,
                verdict,
            });
        }
    }

    /// Each chunk against its hashes.
    fn chunks(&mut self, stream: &Stream) {
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
            self.tell(Aff4Level::Chunks, stream.urn(), Some(algorithm), verdict);
        }
    }

    /// What a stream states of itself.
    fn stream(&mut self, urn: &str, stream: &Stream) {
        for algorithm in HashAlgorithm::ALL {
            let object = format!("{urn}/blockhash.{algorithm}");
            for stated in self.stated(&object) {
                match chunk_hashes(stream, algorithm, stated.algorithm) {
                    Ok(digest) => {
                        self.compare(Aff4Level::ChunkHashes, &object, &stated, &digest);
                    }
                    Err(error) => {
                        let verdict = Aff4Verdict::Wrong(error.to_string());
                        self.tell(Aff4Level::ChunkHashes, &object, Some(algorithm), verdict);
                    }
                }
            }
        }
        for stated in self.stated(urn) {
            let (level, computed) = match stated.property.as_str() {
                "hash" => (Aff4Level::Stream, linear(stream, stated.algorithm)),
                "imageStreamIndexHash" => (Aff4Level::Indexes, indexes(stream, stated.algorithm)),
                // Before the standard: each algorithm over its own hashes.
                "blockHashesHash" => (
                    Aff4Level::ChunkHashes,
                    chunk_hashes(stream, stated.algorithm, stated.algorithm),
                ),
                _ => {
                    self.unknown(Aff4Level::Stream, urn, &stated);
                    continue;
                }
            };
            self.conclude(level, urn, &stated, computed);
        }
    }

    fn conclude(
        &mut self,
        level: Aff4Level,
        urn: &str,
        stated: &Stated,
        computed: io::Result<Digest>,
    ) {
        match computed {
            Ok(digest) => self.compare(level, urn, stated, &digest),
            Err(error) => {
                let object = format!("{urn} {}", stated.property);
                let verdict = Aff4Verdict::Wrong(error.to_string());
                self.tell(level, &object, Some(stated.algorithm), verdict);
            }
        }
    }

    fn unknown(&mut self, level: Aff4Level, urn: &str, stated: &Stated) {
        let object = format!("{urn} {}", stated.property);
        let why = "the standard does not say what this is the hash of".to_owned();
        let verdict = Aff4Verdict::Unknown(why);
        self.tell(level, &object, Some(stated.algorithm), verdict);
    }

    /// What a map states of itself.
    fn map(&mut self, urn: &str, map: &dyn ReadAt) {
        for stated in self.stated(urn) {
            let algorithm = stated.algorithm;
            let (level, computed) = match stated.property.as_str() {
                "mapPointHash" => (Aff4Level::Map, self.map_parts(urn, &["map"], algorithm)),
                "mapIdxHash" => (Aff4Level::Map, self.map_parts(urn, &["idx"], algorithm)),
                "mapPathHash" => (Aff4Level::Map, self.map_parts(urn, &["mapPath"], algorithm)),
                "mapHash" => {
                    let parts = ["map", "idx", "mapPath"];
                    (Aff4Level::Map, self.map_parts(urn, &parts, algorithm))
                }
                "blockMapHash" => (
                    Aff4Level::BlockMap,
                    self.block_map(urn, algorithm, |_| algorithm),
                ),
                // Before the standard: each algorithm over its own hashes.
                "blockHashesHash" => (
                    Aff4Level::BlockMap,
                    self.block_map(urn, algorithm, |own| own),
                ),
                "hash" => (Aff4Level::Linear, linear(map, algorithm)),
                _ => {
                    self.unknown(Aff4Level::Map, urn, &stated);
                    continue;
                }
            };
            self.conclude(level, urn, &stated, computed);
        }
    }

    /// The hash of some of a map's members, one behind the other.
    fn map_parts(&self, urn: &str, parts: &[&str], algorithm: HashAlgorithm) -> io::Result<Digest> {
        let mut hasher = algorithm.hasher();
        for part in parts {
            if let Some(member) = self.content(&format!("{urn}/{part}"))? {
                hasher.update(&member);
            }
        }
        Ok(hasher.finish())
    }

    fn content(&self, urn: &str) -> io::Result<Option<Vec<u8>>> {
        self.reader
            .store
            .content(urn)
            .map_err(super::stream::invalid)
    }

    /// The hash over the hashes of chunks and of the map's members. `outer` is the
    /// algorithm over an algorithm's chunk hashes.
    fn block_map(
        &mut self,
        urn: &str,
        algorithm: HashAlgorithm,
        outer: impl Fn(HashAlgorithm) -> HashAlgorithm,
    ) -> io::Result<Digest> {
        let mut hasher = algorithm.hasher();
        let mut streams: Vec<&str> = self.graph.iris(urn, "dependentStream").collect();
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

    /// What the image states: the block map hash of its map, or the hash over
    /// those of all its maps.
    fn image(&mut self) {
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
                    self.unknown(Aff4Level::Image, &image, &stated);
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
            self.compare(Aff4Level::Image, &image, &stated, &computed);
        }
    }

    fn files(&mut self) {
        for file in self.reader.files() {
            for stated in self.stated(&file.urn) {
                let computed = self.content(&file.urn).and_then(|content| {
                    let content = content.ok_or(io::ErrorKind::NotFound)?;
                    Ok(stated.algorithm.digest(&content))
                });
                self.conclude(Aff4Level::File, &file.urn, &stated, computed);
            }
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

    fn verdict(self) -> Aff4Verdict {
        match self.first {
            None => Aff4Verdict::Right,
            Some(first) => Aff4Verdict::Wrong(format!(
                "{} of {} chunks, first: {first}",
                self.wrong,
                self.right.saturating_add(self.wrong)
            )),
        }
    }
}

fn compare(stated: &str, computed: &Digest) -> Aff4Verdict {
    let computed = computed.to_string();
    if stated.eq_ignore_ascii_case(&computed) {
        Aff4Verdict::Right
    } else {
        Aff4Verdict::Wrong(format!("it is {computed} and not {stated}"))
    }
}

/// The hash by `outer` of all chunk hashes by `inner`.
fn chunk_hashes(stream: &Stream, inner: HashAlgorithm, outer: HashAlgorithm) -> io::Result<Digest> {
    let mut hasher = outer.hasher();
    for segment in 0..stream.segments() {
        let digests = stream
            .block_hashes(segment, inner)
            .map_err(super::stream::invalid)?
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
            .map_err(super::stream::invalid)?
            .ok_or_else(|| missing(format!("segment {segment} has no index")))?;
        hasher.update(&index);
    }
    Ok(hasher.finish())
}

fn missing(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}

fn linear(source: &dyn ReadAt, algorithm: HashAlgorithm) -> io::Result<Digest> {
    let mut hasher = algorithm.hasher();
    each_piece(source, |piece| hasher.update(piece))?;
    Ok(hasher.finish())
}

fn each_piece(source: &dyn ReadAt, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buf = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < source.len() {
        let left = usize::try_from(source.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        buf.truncate(left);
        source.read_exact_at(offset, &mut buf)?;
        take(&buf);
        offset = offset.saturating_add(u64::try_from(buf.len()).unwrap_or(u64::MAX));
    }
    Ok(())
}
