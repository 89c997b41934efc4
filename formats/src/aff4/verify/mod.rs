// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking every hash that a volume holds.

mod maps;
mod streams;

use super::digest::Digest;
use super::mapped::Source;
use super::turtle::{Term, Triples};
use super::{HashAlgorithm, Reader};
use crate::{Account, OverBudget, ReadAt};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::collections::{BTreeMap, BTreeSet};
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

/// What a check takes besides its name.
const CHECK_BYTES: u64 = 400;

/// Bytes to read at a time.
const PIECE_BYTES: usize = 1 << 20;

impl Reader {
    /// Checks every hash in the volumes, from the checksums of the archive up to the
    /// hash of the image, and passes each result to `found`. It reads the whole image two
    /// or three times.
    ///
    /// # Errors
    /// If that takes more than the budget that the image was opened with: the checks are
    /// not complete then.
    pub fn verify(&self, mut found: impl FnMut(Check)) -> Result<(), OverBudget> {
        let mut verifier = Verifier {
            reader: self,
            triples: self.store.triples(),
            account: self.store.account(),
            found: &mut found,
            block_maps: BTreeMap::new(),
        };
        verifier.members()?;
        let mut objects: Vec<(&String, &Source)> = self.objects.opened.iter().collect();
        objects.sort_unstable_by_key(|(urn, _)| *urn);
        for (urn, source) in &objects {
            if let Source::Stream(stream) = source {
                verifier.chunks(stream)?;
                verifier.stream(urn, stream)?;
            }
        }
        for (urn, source) in &objects {
            if let Source::Map(map) = source {
                verifier.map(urn, map)?;
            }
        }
        verifier.image()?;
        verifier.files()
    }
}

struct Verifier<'a> {
    reader: &'a Reader,
    triples: &'a Triples,
    account: &'a Account,
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
    ) -> Result<(), OverBudget> {
        // Whoever receives it keeps it.
        let bytes = CHECK_BYTES + usize_as_u64(object.len());
        self.account.hold("the hashes in an AFF4 image", bytes)?;
        (self.found)(Check {
            level,
            object: object.to_owned(),
            algorithm,
            verdict,
        });
        Ok(())
    }

    /// Notes that `bytes` are hashed.
    fn work(&self, bytes: u64) -> Result<(), OverBudget> {
        self.account.work("the hashes in an AFF4 image", bytes)
    }

    fn compare(
        &mut self,
        level: Level,
        object: &str,
        stated: &Stated,
        computed: &Digest,
    ) -> Result<(), OverBudget> {
        let verdict = compare(&stated.digest, computed);
        let object = format!("{object} {}", stated.property);
        self.report(level, &object, Some(stated.algorithm), verdict)
    }

    /// The hashes that the description gives for `urn`.
    fn stated(&self, urn: &str) -> Vec<Stated> {
        self.triples
            .properties(urn)
            .into_iter()
            .filter_map(|(property, value)| {
                let Term::Literal { text, datatype } = value else {
                    return None;
                };
                let datatype = datatype.strip_prefix("blockMapHash").unwrap_or(datatype);
                Some(Stated {
                    property: property.as_ref().to_owned(),
                    algorithm: HashAlgorithm::from_datatype(datatype)?,
                    digest: (**text).to_owned(),
                })
            })
            .collect()
    }

    fn members(&mut self) -> Result<(), OverBudget> {
        for (_, entry, member) in self.reader.store.all() {
            self.work(entry.content_bytes)?;
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
            self.report(Level::Member, &entry.name, None, verdict)?;
        }
        Ok(())
    }

    fn conclude(
        &mut self,
        level: Level,
        urn: &str,
        stated: &Stated,
        computed: io::Result<Digest>,
    ) -> Result<(), OverBudget> {
        match computed {
            Ok(digest) => self.compare(level, urn, stated, &digest),
            Err(error) => {
                let object = format!("{urn} {}", stated.property);
                let verdict = Verdict::Mismatch(error.to_string());
                self.report(level, &object, Some(stated.algorithm), verdict)
            }
        }
    }

    fn unknown(&mut self, level: Level, urn: &str, stated: &Stated) -> Result<(), OverBudget> {
        let object = format!("{urn} {}", stated.property);
        let why = "the standard does not define what this hash covers".to_owned();
        let verdict = Verdict::NotChecked(why);
        self.report(level, &object, Some(stated.algorithm), verdict)
    }

    /// The hashes over `source` that `stated` names as its `property`. All of them are
    /// computed at once, which takes `work`.
    fn linear(
        &self,
        source: &dyn ReadAt,
        work: u64,
        stated: &[Stated],
        property: &str,
    ) -> Result<io::Result<Linear>, OverBudget> {
        let named = stated.iter().filter(|stated| stated.property == property);
        let algorithms: BTreeSet<HashAlgorithm> = named.map(|stated| stated.algorithm).collect();
        if algorithms.is_empty() {
            return Ok(Ok(Linear::new()));
        }
        self.work(work)?;
        let mut hashers: Vec<_> = algorithms
            .into_iter()
            .map(|algorithm| (algorithm, algorithm.hasher()))
            .collect();
        let read = each_piece(source, |piece| {
            hashers
                .iter_mut()
                .for_each(|(_, hasher)| hasher.update(piece));
        });
        Ok(read.map(|()| {
            let digests = hashers.into_iter();
            digests
                .map(|(algorithm, hasher)| (algorithm, hasher.finish()))
                .collect()
        }))
    }

    fn content(&self, urn: &str) -> io::Result<Option<Vec<u8>>> {
        let content = self.reader.store.content(urn);
        let content = content.map_err(super::stream::invalid)?;
        self.work(
            content
                .as_ref()
                .map_or(0, |bytes| usize_as_u64(bytes.len())),
        )?;
        Ok(content)
    }

    fn files(&mut self) -> Result<(), OverBudget> {
        for file in self.reader.files().iter() {
            let all = self.stated(&file.urn);
            if all.is_empty() {
                continue;
            }
            let member = self.reader.store.member(&file.urn);
            let member = member.map_err(super::stream::invalid);
            let member = member.and_then(|member| member.ok_or(io::ErrorKind::NotFound.into()));
            for stated in &all {
                let computed = match &member {
                    Ok(member) => self.linear(
                        member,
                        member.len(),
                        std::slice::from_ref(stated),
                        &stated.property,
                    )?,
                    Err(error) => Err(again(error)),
                };
                let computed = computed.and_then(|digests| one(&digests, stated.algorithm));
                self.conclude(Level::File, &file.urn, stated, computed)?;
            }
        }
        Ok(())
    }
}

/// The hashes over a stream by their algorithms.
type Linear = BTreeMap<HashAlgorithm, Digest>;

/// One of the hashes that were computed.
fn one(digests: &Linear, algorithm: HashAlgorithm) -> io::Result<Digest> {
    let digest = digests.get(&algorithm).cloned();
    digest.ok_or_else(|| io::Error::other("it was not computed"))
}

/// The same error for a further hash.
fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

fn compare(stated: &str, computed: &Digest) -> Verdict {
    let computed = computed.to_string();
    if stated.eq_ignore_ascii_case(&computed) {
        Verdict::Match
    } else {
        Verdict::Mismatch(format!("its hash is {computed} instead of {stated}"))
    }
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
