// SPDX-License-Identifier: MIT OR Apache-2.0
//! The objects of a volume and how they refer to each other: an image has maps, maps
//! have streams.

use super::Error;
use super::map::{RECORD_BYTES, Record};
use super::mapped::{Mapped, Piece, Source, pieces};
use super::schema::MEMORY;
use super::store::Store;
use super::stream::{Shared, Stream};
use super::symbolic::Symbolic;
use super::turtle::Triples;
use super::warnings::Warnings;
use super::zip::MAX_MEMBER_IN_MEMORY_BYTES;
use crate::ReadAt;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The image of a volume and the objects that it consists of.
pub(super) struct ObjectGraph {
    /// The image's URN.
    pub(super) image: String,
    /// All open maps and streams, by URN.
    pub(super) opened: HashMap<String, Source>,
    /// The URNs of the maps and streams that the image refers to.
    pub(super) data: Vec<String>,
    /// The memory at all addresses.
    pub(super) memory: Arc<Mapped>,
    pub(super) warnings: Warnings,
}

/// A file that is stored in a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its URN, for [`Reader::open_file`](super::Reader::open_file).
    pub urn: String,
    /// Its path on the acquired machine.
    pub path: String,
    /// Its size in bytes, if the volume gives it.
    pub bytes: Option<u64>,
}

/// What maps are called where they exceed a budget.
const MAPS: &str = "the maps of an AFF4 image";
/// The type of maps whose records have another order.
const OLD_MAP: &str = "http://aff4.org/Schema#map";
/// The most volumes that a message names.
const SHOWN_VOLUMES: usize = 8;
/// The most levels of maps over other maps.
const MAX_DEPTH: usize = 8;
/// The most streams that a map may refer to.
const MAX_TARGETS: usize = 1 << 16;

/// Opens the image.
pub(super) fn open(shared: &Arc<Shared>, warnings: Warnings) -> Result<ObjectGraph, Error> {
    let mut opener = Opener {
        shared,
        path: Vec::new(),
        opened: HashMap::new(),
        streams: 0,
        warnings,
    };
    let (image, mut data) = opener.find()?;
    data.sort_unstable();
    data.dedup();
    let sources = data
        .iter()
        .map(|urn| opener.source(urn))
        .collect::<Result<Vec<Source>, Error>>()?;
    let memory = match sources.as_slice() {
        [Source::Map(map)] => Arc::clone(map),
        _ => Arc::new(opener.layered(&image, &sources)?),
    };
    Ok(ObjectGraph {
        image,
        opened: opener.opened,
        data,
        memory,
        warnings: opener.warnings,
    })
}

struct Opener<'a> {
    shared: &'a Arc<Shared>,
    /// The objects being opened, each referred to by the one before it.
    path: Vec<String>,
    opened: HashMap<String, Source>,
    streams: usize,
    warnings: Warnings,
}

impl Opener<'_> {
    fn triples(&self) -> &Triples {
        self.shared.store.triples()
    }

    /// The URN of the image, and those of its data.
    fn find(&mut self) -> Result<(String, Vec<String>), Error> {
        let triples = self.triples();
        let images: Vec<&str> = triples
            .subjects()
            .filter(|urn| {
                !triples.is_a(urn, "FileImage") && triples.iris(urn, "dataStream").next().is_some()
            })
            .collect();
        let memory = images.iter().find(|urn| triples.is_a(urn, "MemoryImage"));
        if let Some(&image) = memory.or(images.first()) {
            let data = triples.iris(image, "dataStream").map(str::to_owned);
            let found = (image.to_owned(), data.collect());
            if images.len() > 1 {
                let count = images.len();
                let what = format!("the volume has {count} images; this reads {image}");
                self.warnings.push(&what);
            }
            return Ok(found);
        }
        // Without an image object, the map is the image, or there is only a stream.
        let is_memory = |urn: &&str| triples.iris(urn, "category").any(|iri| iri == MEMORY);
        let maps: Vec<&str> = triples
            .subjects()
            .filter(|urn| triples.is_a(urn, "Map"))
            .collect();
        let found = maps
            .iter()
            .copied()
            .find(is_memory)
            .or_else(|| maps.first().copied())
            .or_else(|| triples.subjects().find(|urn| is_stream(triples, urn)))
            .map(str::to_owned)
            .ok_or(Error::NoImage(
                "none of its objects is an image, a map or a stream",
            ))?;
        Ok((found.clone(), vec![found]))
    }

    fn source(&mut self, urn: &str) -> Result<Source, Error> {
        if let Some(symbolic) = Symbolic::from_iri(urn) {
            return Ok(Source::Symbolic(symbolic));
        }
        if let Some(source) = self.opened.get(urn) {
            return Ok(source.clone());
        }
        if self.path.len() >= MAX_DEPTH || self.path.iter().any(|above| above == urn) {
            return Err(Error::object(
                urn,
                "its map refers to itself, or to more than 8 levels of other maps",
            ));
        }
        self.path.push(urn.to_owned());
        let source = self.open(urn);
        self.path.pop();
        let source = source?;
        self.opened.insert(urn.to_owned(), source.clone());
        Ok(source)
    }

    fn open(&mut self, urn: &str) -> Result<Source, Error> {
        // Checked first, since a map can be an image too.
        if self.triples().is_a(urn, "Map") {
            return Ok(Source::Map(Arc::new(self.map(urn)?)));
        }
        if is_stream(self.triples(), urn) {
            self.streams += 1;
            if self.is_elsewhere(urn) {
                return Err(self.striped());
            }
            let stream = Stream::open(self.shared, self.streams, urn)?;
            return Ok(Source::Stream(Arc::new(stream)));
        }
        if let Some(member) = self.shared.store.member(urn)? {
            return Ok(Source::Member(member));
        }
        self.warnings.push(&format!(
            "the stream {urn} is not in this volume: memory stored there cannot be read"
        ));
        Ok(Source::Missing(urn.into()))
    }

    /// Whether the stream `urn` is stored in a volume that was not given.
    fn is_elsewhere(&self, urn: &str) -> bool {
        let store = &self.shared.store;
        !store.has(&format!("{urn}/00000000"))
            && self
                .triples()
                .iris(urn, "stored")
                .any(|volume| !store.urns().any(|given| given == volume))
    }

    /// The error that names the volumes that are missing.
    fn striped(&self) -> Error {
        let triples = self.triples();
        let streams = triples.subjects().filter(|urn| is_stream(triples, urn));
        let elsewhere = streams.filter(|urn| self.is_elsewhere(urn));
        let volumes = elsewhere.flat_map(|urn| triples.iris(urn, "stored"));
        let volumes: BTreeSet<&str> = volumes.take(SHOWN_VOLUMES).collect();
        Error::Striped {
            missing: volumes.into_iter().collect::<Vec<_>>().join(", "),
        }
    }

    fn map(&mut self, urn: &str) -> Result<Mapped, Error> {
        let missing = |what: &str| Error::object(urn, format!("its member {what} is missing"));
        let shared = Arc::clone(self.shared);
        let store = &shared.store;
        let account = store.account();
        let member = |what: &'static str| {
            let member = store.member(&format!("{urn}/{what}"))?;
            member.ok_or_else(|| missing(what))
        };
        let (idx, map) = (member("idx")?, member("map")?);
        // The list, and what invalid bytes of it become.
        let _idx = account.lend(MAPS, idx.len().saturating_mul(4))?;
        let idx = idx.read_all(MAX_MEMBER_IN_MEMORY_BYTES)?;
        let idx = String::from_utf8_lossy(&idx).into_owned();
        if idx.lines().count() > MAX_TARGETS {
            return Err(Error::TooLarge("a map of more than 65,536 streams"));
        }
        let names: Vec<&str> = idx.lines().map(str::trim).collect();
        // Volumes from before the standard, but for Evimetry's.
        let is_old = self.triples().iris(urn, "a").any(|iri| iri == OLD_MAP);
        let decode = if is_old {
            Record::decode_old
        } else {
            Record::decode
        };
        // The records, and as pieces: as they are, sorted, and as ranges.
        let _map = account.lend(MAPS, map.len())?;
        let count = u64_as_usize(map.len()) / RECORD_BYTES;
        account.hold_items::<[Piece; 2]>(MAPS, count)?;
        account.hold_items::<(Source, &str)>(MAPS, names.len())?;
        let map = map.read_all(MAX_MEMBER_IN_MEMORY_BYTES)?;
        let pieces = pieces(urn, &map, names.len(), decode)?;
        // Only streams that a record refers to are opened.
        let mut used = vec![false; names.len()];
        for piece in &pieces {
            if let Some(used) = used.get_mut(piece.target) {
                *used |= piece.start < piece.end;
            }
        }
        let targets = names
            .iter()
            .zip(used)
            .map(|(name, used)| match used {
                true => self.source(name),
                false => Ok(Source::Missing((*name).into())),
            })
            .collect::<Result<Vec<Source>, Error>>()?;
        let gap = self.triples().iris(urn, "mapGapDefaultStream").next();
        let gap = match gap.map(str::to_owned) {
            Some(iri) => self.source(&iri)?,
            None => Source::Symbolic(Symbolic::Byte(0)),
        };
        let size = self.triples().number(urn, &["size"]);
        let (mapped, flags) = Mapped::new(size, &pieces, targets, gap);
        for (flag, what) in [
            (flags.is_unsorted, "is not in address order"),
            (
                flags.overlaps,
                "lists addresses twice; the later record is used",
            ),
            (flags.reaches_beyond, "extends beyond its size"),
        ] {
            if flag {
                self.warnings.push(&format!("the map {urn} {what}"));
            }
        }
        Ok(mapped)
    }

    /// The data streams of a striped image as one map: each holds what the others lack.
    /// Data takes precedence over symbolic streams.
    fn layered(&mut self, image: &str, sources: &[Source]) -> Result<Mapped, Error> {
        let account = self.shared.store.account();
        let mut symbolic = Vec::new();
        let mut data = Vec::new();
        let mut targets = Vec::new();
        let mut size = self.triples().number(image, &["size"]);
        let mut gap = None;
        for source in sources {
            let base = targets.len();
            match source {
                Source::Map(map) => {
                    account.hold_items::<[Piece; 2]>(MAPS, map.pieces().len())?;
                    account.hold_items::<Source>(MAPS, map.targets().len())?;
                    size = size.max(Some(map.len()));
                    gap.get_or_insert_with(|| map.gap().clone());
                    targets.extend_from_slice(map.targets());
                    for piece in map.pieces() {
                        let layer = match map.target(piece) {
                            Some(Source::Symbolic(_) | Source::Missing(_)) | None => &mut symbolic,
                            Some(_) => &mut data,
                        };
                        layer.push(Piece {
                            target: piece.target + base,
                            ..*piece
                        });
                    }
                }
                Source::Stream(stream) => {
                    targets.push(source.clone());
                    data.push(whole(base, stream.len()));
                }
                Source::Member(member) => {
                    targets.push(source.clone());
                    data.push(whole(base, member.len()));
                }
                Source::Symbolic(_) => {
                    targets.push(source.clone());
                    symbolic.push(whole(base, size.unwrap_or(0)));
                }
                Source::Missing(_) => {}
            }
        }
        if targets.is_empty() {
            return Err(Error::NoImage(
                "its data is in another volume; give all volumes of the image",
            ));
        }
        symbolic.append(&mut data);
        let gap = gap.unwrap_or(Source::Symbolic(Symbolic::Byte(0)));
        let (mapped, _) = Mapped::new(size, &symbolic, targets, gap);
        Ok(mapped)
    }
}

fn whole(target: usize, len: u64) -> Piece {
    Piece {
        start: 0,
        end: len,
        target_offset: 0,
        target,
    }
}

/// The files of the volumes.
pub(super) fn files(store: &Store, objects: &ObjectGraph) -> Result<Vec<FileInfo>, Error> {
    const WHAT: &str = "the files in an AFF4 image";
    let (triples, account) = (store.triples(), store.account());
    let mut files = Vec::new();
    for urn in triples.subjects() {
        if !triples.is_a(urn, "FileImage") || urn == objects.image {
            continue;
        }
        let path = triples.text(urn, "originalFileName").unwrap_or(urn);
        // Whoever lists them keeps a copy.
        account.hold_items::<FileInfo>(WHAT, 1)?;
        account.hold(WHAT, 2 * usize_as_u64(urn.len() + path.len()))?;
        files.push(FileInfo {
            urn: urn.to_owned(),
            path: path.to_owned(),
            bytes: triples.number(urn, &["size"]),
        });
    }
    Ok(files)
}

/// Whether `urn` is a stream. Volumes from before the standard call it `image` or
/// `stream`.
fn is_stream(triples: &Triples, urn: &str) -> bool {
    triples.is_a(urn, "ImageStream")
        || ((triples.is_a(urn, "Image") || triples.is_a(urn, "stream"))
            && triples
                .number(urn, &["chunk_size", "chunkSize", "chunks_per_segment"])
                .is_some())
}
