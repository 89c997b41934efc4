// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking every hash that a volume holds.

mod maps;
mod streams;

use super::digest::Digest;
use super::mapped::Source;
use super::turtle::{Term, Triples};
use super::{HashAlgorithm, Reader};
use crate::ReadAt;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// A hash that a volume holds, and the result of checking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What the hash covers.
    pub level: Level,
    /// The object and its property, or the member of the archive.
    pub object: String,
    /// The algorithm; `None` for the CRC-32 of the archive.
    pub algorithm: Option<HashAlgorithm>,
    /// The result.
    pub verdict: Verdict,
}

/// What a hash covers, from the bytes of the file up to the whole image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// A member of the archive.
    Member,
    /// Each chunk of a stream.
    Chunks,
    /// The hashes of a stream's chunks.
    ChunkHashes,
    /// The indexes of a stream.
    Indexes,
    /// The content of a stream.
    Stream,
    /// The records of a map, its list of streams, its path, or all of them.
    Map,
    /// A map together with the hashes of the chunks that it refers to.
    BlockMap,
    /// The memory at all addresses, including holes.
    Linear,
    /// The image, that is, all of its maps.
    Image,
    /// A file stored next to the memory.
    File,
}

/// The result of checking a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The data matches the hash.
    Match,
    /// The data does not match the hash, or cannot be read; the text says what is wrong.
    Mismatch(String),
    /// The hash could not be checked; the text says why.
    NotChecked(String),
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Member => "member",
            Self::Chunks => "chunks",
            Self::ChunkHashes => "chunk hashes",
            Self::Indexes => "indexes",
            Self::Stream => "stream",
            Self::Map => "map",
            Self::BlockMap => "block map",
            Self::Linear => "linear",
            Self::Image => "image",
            Self::File => "file",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match => f.write_str("ok"),
            Self::Mismatch(what) => write!(f, "MISMATCH: {what}"),
            Self::NotChecked(why) => write!(f, "not checked: {why}"),
        }
    }
}

/// Bytes to read at a time.
const PIECE_BYTES: usize = 1 << 20;

impl Reader {
    /// Checks every hash in the volumes, from the checksums of the archive up to the
    /// hash of the image, and passes each result to `found`. It reads the whole image two
    /// or three times.
    pub fn verify(&self, mut found: impl FnMut(Check)) {
        let mut verifier = Verifier {
            reader: self,
            triples: self.store.triples(),
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
    reader: &'a Reader,
    triples: &'a Triples,
    found: &'a mut dyn FnMut(Check),
    /// The block map hashes computed so far, by map and algorithm.
    block_maps: BTreeMap<(String, HashAlgorithm), Digest>,
}

/// A hash that the description gives for an object.
struct Stated {
    property: String,
    algorithm: HashAlgorithm,
    digest: String,
}

impl Verifier<'_> {
    fn report(
        &mut self,
        level: Level,
        object: &str,
        algorithm: Option<HashAlgorithm>,
        verdict: Verdict,
    ) {
        (self.found)(Check {
            level,
            object: object.to_owned(),
            algorithm,
            verdict,
        });
    }

    fn compare(&mut self, level: Level, object: &str, stated: &Stated, computed: &Digest) {
        let verdict = compare(&stated.digest, computed);
        let object = format!("{object} {}", stated.property);
        self.report(level, &object, Some(stated.algorithm), verdict);
    }

    /// The hashes that the description gives for `urn`.
    fn stated(&self, urn: &str) -> Vec<Stated> {
        self.triples
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
                Ok(crc) if crc == entry.crc => Verdict::Match,
                Ok(crc) => Verdict::Mismatch(format!(
                    "its checksum is {crc:08x} instead of {:08x}",
                    entry.crc
                )),
                Err(error) => Verdict::Mismatch(error),
            };
            (self.found)(Check {
                level: Level::Member,
                object: entry.name.clone(),
                algorithm: None,
                verdict,
            });
        }
    }

    fn conclude(&mut self, level: Level, urn: &str, stated: &Stated, computed: io::Result<Digest>) {
        match computed {
            Ok(digest) => self.compare(level, urn, stated, &digest),
            Err(error) => {
                let object = format!("{urn} {}", stated.property);
                let verdict = Verdict::Mismatch(error.to_string());
                self.report(level, &object, Some(stated.algorithm), verdict);
            }
        }
    }

    fn unknown(&mut self, level: Level, urn: &str, stated: &Stated) {
        let object = format!("{urn} {}", stated.property);
        let why = "the standard does not define what this hash covers".to_owned();
        let verdict = Verdict::NotChecked(why);
        self.report(level, &object, Some(stated.algorithm), verdict);
    }

    fn file(&self, urn: &str, algorithm: HashAlgorithm) -> io::Result<Digest> {
        let member = self.reader.store.member(urn);
        let member = member.map_err(super::stream::invalid)?;
        linear(&member.ok_or(io::ErrorKind::NotFound)?, algorithm)
    }

    fn content(&self, urn: &str) -> io::Result<Option<Vec<u8>>> {
        self.reader
            .store
            .content(urn)
            .map_err(super::stream::invalid)
    }

    fn files(&mut self) {
        for file in self.reader.files() {
            for stated in self.stated(&file.urn) {
                let computed = self.file(&file.urn, stated.algorithm);
                self.conclude(Level::File, &file.urn, &stated, computed);
            }
        }
    }
}

fn compare(stated: &str, computed: &Digest) -> Verdict {
    let computed = computed.to_string();
    if stated.eq_ignore_ascii_case(&computed) {
        Verdict::Match
    } else {
        Verdict::Mismatch(format!("its hash is {computed} instead of {stated}"))
    }
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
        buf.truncate(u64_as_usize(source.len() - offset));
        source.read_exact_at(offset, &mut buf)?;
        take(&buf);
        offset += usize_as_u64(buf.len());
    }
    Ok(())
}
