// SPDX-License-Identifier: MIT OR Apache-2.0
//! The objects of a volume, put together: image, maps, streams.

use super::Error;
use super::map::Record;
use super::mapped::{Mapped, Piece, Source, pieces};
use super::schema::MEMORY;
use super::stream::{Shared, Stream};
use super::symbolic::Symbolic;
use super::turtle::Graph;
use std::collections::HashMap;
use std::sync::Arc;

/// The image of a volume and what it is made of.
pub(super) struct Objects {
    /// The image's URN.
    pub(super) image: String,
    /// All maps and streams that were opened, by URN.
    pub(super) opened: HashMap<String, Source>,
    /// The maps and streams that the image names, by URN.
    pub(super) data: Vec<String>,
    /// All addresses.
    pub(super) memory: Arc<Mapped>,
    pub(super) warnings: Vec<String>,
}

/// Maps over maps over maps.
const MAX_DEPTH: usize = 8;
/// Streams that a map may name.
const MAX_TARGETS: usize = 1 << 16;

/// Opens the image.
pub(super) fn open(shared: &Arc<Shared>) -> Result<Objects, Error> {
    let mut opener = Opener {
        shared,
        path: Vec::new(),
        opened: HashMap::new(),
        streams: 0,
        warnings: shared.store.warnings().to_vec(),
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
    Ok(Objects {
        image,
        opened: opener.opened,
        data,
        memory,
        warnings: opener.warnings,
    })
}

struct Opener<'a> {
    shared: &'a Arc<Shared>,
    /// Those that are being opened, each named by the one before it.
    path: Vec<String>,
    opened: HashMap<String, Source>,
    streams: usize,
    warnings: Vec<String>,
}

impl Opener<'_> {
    fn graph(&self) -> &Graph {
        self.shared.store.graph()
    }

    /// The image, and what it says that its data is.
    fn find(&mut self) -> Result<(String, Vec<String>), Error> {
        let graph = self.graph();
        let images: Vec<&str> = graph
            .subjects()
            .filter(|urn| {
                !graph.is_a(urn, "FileImage") && graph.iris(urn, "dataStream").next().is_some()
            })
            .collect();
        let memory = images.iter().find(|urn| graph.is_a(urn, "MemoryImage"));
        if let Some(&image) = memory.or(images.first()) {
            let data = graph.iris(image, "dataStream").map(str::to_owned);
            let found = (image.to_owned(), data.collect());
            if images.len() > 1 {
                let count = images.len();
                let what =
                    format!("the volume has {count} images; {image} is the one that is read");
                self.warnings.push(what);
            }
            return Ok(found);
        }
        // Without an image, the map is one itself, or there is just a stream.
        let is_memory = |urn: &&str| graph.iris(urn, "category").any(|iri| iri == MEMORY);
        let maps: Vec<&str> = graph
            .subjects()
            .filter(|urn| graph.is_a(urn, "Map"))
            .collect();
        let found = maps
            .iter()
            .copied()
            .find(is_memory)
            .or_else(|| maps.first().copied())
            .or_else(|| graph.subjects().find(|urn| is_stream(graph, urn)))
            .map(str::to_owned)
            .ok_or(Error::NoImage("none of its objects is one"))?;
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
                "its map leads back to itself, or over more than 8 other maps",
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
        // Some are both: a map that is an image.
        if self.graph().is_a(urn, "Map") {
            return Ok(Source::Map(Arc::new(self.map(urn)?)));
        }
        if is_stream(self.graph(), urn) {
            self.streams = self.streams.saturating_add(1);
            let stream = Stream::open(self.shared, self.streams, urn)?;
            return Ok(Source::Stream(Arc::new(stream)));
        }
        if let Some(member) = self.shared.store.member(urn)? {
            return Ok(Source::Member(member));
        }
        self.warnings.push(format!(
            "the stream {urn} is named, but not in this volume: what lies there cannot be read"
        ));
        Ok(Source::Missing(urn.into()))
    }

    fn map(&mut self, urn: &str) -> Result<Mapped, Error> {
        let missing = |what: &str| Error::object(urn, format!("its member {what} is missing"));
        let store = &self.shared.store;
        let idx = store
            .content(&format!("{urn}/idx"))?
            .ok_or_else(|| missing("idx"))?;
        let map = store
            .content(&format!("{urn}/map"))?
            .ok_or_else(|| missing("map"))?;
        let idx = String::from_utf8_lossy(&idx).into_owned();
        let names: Vec<&str> = idx.lines().map(str::trim).collect();
        if names.len() > MAX_TARGETS {
            return Err(Error::TooLarge("the list of a map's streams"));
        }
        let is_old = !self.graph().iris(urn, "a").any(|iri| iri.ends_with("#Map"));
        let decode = if is_old {
            Record::decode_old
        } else {
            Record::decode
        };
        let pieces = pieces(urn, &map, names.len(), decode)?;
        // A line is only followed if there is something behind it.
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
        let gap = self.graph().iris(urn, "mapGapDefaultStream").next();
        let gap = match gap.map(str::to_owned) {
            Some(iri) => self.source(&iri)?,
            None => Source::Symbolic(Symbolic::Byte(0)),
        };
        let size = self.graph().number(urn, &["size"]);
        let (mapped, flags) = Mapped::new(size, &pieces, targets, gap);
        for (flag, what) in [
            (flags.is_unsorted, "is not in the order of its addresses"),
            (
                flags.overlaps,
                "has addresses twice; the later entry counts",
            ),
            (flags.reaches_beyond, "reaches beyond its size"),
        ] {
            if flag {
                self.warnings.push(format!("the map {urn} {what}"));
            }
        }
        Ok(mapped)
    }

    /// The data streams of a striped image, as one map: what one has not, another
    /// has. Data lies above what is only symbolic.
    fn layered(&mut self, image: &str, sources: &[Source]) -> Result<Mapped, Error> {
        let mut symbolic = Vec::new();
        let mut data = Vec::new();
        let mut targets = Vec::new();
        let mut size = self.graph().number(image, &["size"]);
        let mut gap = None;
        for source in sources {
            let base = targets.len();
            match source {
                Source::Map(map) => {
                    size = size.max(Some(crate::ReadAt::len(&**map)));
                    gap.get_or_insert_with(|| map.gap().clone());
                    targets.extend_from_slice(map.targets());
                    for piece in map.pieces() {
                        let layer = match map.target(piece) {
                            Some(Source::Symbolic(_) | Source::Missing(_)) | None => &mut symbolic,
                            Some(_) => &mut data,
                        };
                        layer.push(Piece {
                            target: piece.target.saturating_add(base),
                            ..*piece
                        });
                    }
                }
                Source::Stream(stream) => {
                    targets.push(source.clone());
                    data.push(whole(base, crate::ReadAt::len(&**stream)));
                }
                Source::Member(member) => {
                    targets.push(source.clone());
                    data.push(whole(base, crate::ReadAt::len(member)));
                }
                Source::Symbolic(_) => {
                    targets.push(source.clone());
                    symbolic.push(whole(base, size.unwrap_or(0)));
                }
                Source::Missing(_) => {}
            }
        }
        if targets.is_empty() {
            return Err(Error::NoImage("its data is in another volume"));
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

/// A stream is called `image` before the standard.
fn is_stream(graph: &Graph, urn: &str) -> bool {
    graph.is_a(urn, "ImageStream")
        || (graph.is_a(urn, "Image")
            && graph
                .number(urn, &["chunk_size", "chunkSize", "chunks_per_segment"])
                .is_some())
}
