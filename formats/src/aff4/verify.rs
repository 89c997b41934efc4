// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking every hash that an image states.

mod maps;
mod streams;

use super::check::{Check, Level, Verdict};
use super::digest::Digest;
use super::mapped::Source;
use super::turtle::{Graph, Term};
use super::{HashAlgorithm, Reader};
use crate::ReadAt;
use std::collections::BTreeMap;
use std::io;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

impl Reader {
    /// Checks every hash that the volumes state, from the archive's checksums up to
    /// the image's own, and tells `found` of each. Reads all of the image two or
    /// three times.
    pub fn verify(&self, mut found: impl FnMut(Check)) {
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
    reader: &'a Reader,
    graph: &'a Graph,
    found: &'a mut dyn FnMut(Check),
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
                Ok(crc) if crc == entry.crc => Verdict::Right,
                Ok(crc) => Verdict::Wrong(format!(
                    "its checksum is {crc:08x} and not {:08x}",
                    entry.crc
                )),
                Err(error) => Verdict::Wrong(error),
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
                let verdict = Verdict::Wrong(error.to_string());
                self.tell(level, &object, Some(stated.algorithm), verdict);
            }
        }
    }

    fn unknown(&mut self, level: Level, urn: &str, stated: &Stated) {
        let object = format!("{urn} {}", stated.property);
        let why = "the standard does not say what this is the hash of".to_owned();
        let verdict = Verdict::Unknown(why);
        self.tell(level, &object, Some(stated.algorithm), verdict);
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
        Verdict::Right
    } else {
        Verdict::Wrong(format!("it is {computed} and not {stated}"))
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
        let left = usize::try_from(source.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        buf.truncate(left);
        source.read_exact_at(offset, &mut buf)?;
        take(&buf);
        offset = offset.saturating_add(u64::try_from(buf.len()).unwrap_or(u64::MAX));
    }
    Ok(())
}
