// SPDX-License-Identifier: MIT OR Apache-2.0
//! The open volumes of an image: their members and their descriptions.

use super::Error;
use super::schema::{DESCRIPTION, INFORMATION};
use super::turtle::Triples;
use super::urn::{member_key, urn_key};
use super::zip::{Archive, Entry, MAX_MEMBER_IN_MEMORY_BYTES, Member};
use crate::ReadAt;
use std::collections::HashMap;
use std::sync::Arc;

/// One volume, or all volumes of a striped image.
pub(super) struct Store {
    volumes: Vec<Volume>,
    /// The index of the volume and of the entry of each member, by its absolute URN.
    members: HashMap<String, (usize, usize)>,
    triples: Triples,
    warnings: Vec<String>,
}

pub(super) struct Volume {
    archive: Archive,
    urn: String,
}

/// The longest URN of a volume to accept; they have a few dozen bytes.
const MAX_URN_BYTES: u64 = 4096;

impl Store {
    pub(super) fn open(sources: Vec<Arc<dyn ReadAt>>) -> Result<Self, Error> {
        let mut store = Self {
            volumes: Vec::new(),
            members: HashMap::new(),
            triples: Triples::default(),
            warnings: Vec::new(),
        };
        for source in sources {
            let archive = Archive::open(source)?;
            store.add(archive)?;
        }
        Ok(store)
    }

    fn add(&mut self, archive: Archive) -> Result<(), Error> {
        let information = entry(&archive, INFORMATION).ok_or(Error::NotAff4)?;
        let information = archive.member(information)?;
        let information = information.read_all(MAX_MEMBER_IN_MEMORY_BYTES)?;
        let comment = urn_of(archive.comment());
        let described = match entry(&archive, DESCRIPTION) {
            Some(entry) => urn_of(&archive.member(entry)?.read_all(MAX_URN_BYTES)?),
            None => None,
        };
        if let (Some(comment), Some(described)) = (&comment, &described) {
            if comment != described {
                self.warnings.push(format!(
                    "the volume has two names: {described} at its beginning, {comment} at its end"
                ));
            }
        }
        let urn = described.or(comment).ok_or(Error::NotAff4)?;
        if self.volumes.iter().any(|volume| volume.urn == urn) {
            return Err(Error::object(&urn, "this volume was given twice"));
        }
        self.triples.add(&information, &urn)?;
        let number = self.volumes.len();
        for (index, entry) in archive.entries().iter().enumerate() {
            let key = member_key(&urn, &entry.name);
            if self.members.insert(key, (number, index)).is_some() {
                self.warnings
                    .push(format!("two members have the name {}", entry.name));
            }
        }
        self.volumes.push(Volume { archive, urn });
        Ok(())
    }

    pub(super) fn triples(&self) -> &Triples {
        &self.triples
    }

    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The URNs of the volumes.
    pub(super) fn urns(&self) -> impl Iterator<Item = &str> {
        self.volumes.iter().map(|volume| volume.urn.as_str())
    }

    /// The member that holds the object `urn`, if there is one.
    pub(super) fn member(&self, urn: &str) -> Result<Option<Member>, Error> {
        let Some(&(volume, index)) = self.members.get(&urn_key(urn)) else {
            return Ok(None);
        };
        let volume = self.volumes.get(volume);
        volume
            .and_then(|volume| Some((volume, volume.archive.entries().get(index)?)))
            .map(|(volume, entry)| volume.archive.member(entry))
            .transpose()
    }

    /// The whole content of that member, if there is one.
    pub(super) fn content(&self, urn: &str) -> Result<Option<Vec<u8>>, Error> {
        self.member(urn)?
            .map(|member| member.read_all(MAX_MEMBER_IN_MEMORY_BYTES))
            .transpose()
    }

    /// All members: the volume's URN, the entry, and the content.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Entry, Result<Member, Error>)> {
        self.volumes.iter().flat_map(|volume| {
            let archive = &volume.archive;
            archive
                .entries()
                .iter()
                .map(|entry| (volume.urn.as_str(), entry, archive.member(entry)))
        })
    }
}

fn entry<'a>(archive: &'a Archive, name: &str) -> Option<&'a Entry> {
    archive.entries().iter().find(|entry| entry.name == name)
}

fn urn_of(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.trim_matches(|char: char| char.is_whitespace() || char == '\0');
    text.starts_with("aff4://").then(|| text.to_owned())
}
