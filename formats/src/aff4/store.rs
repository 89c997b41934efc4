// SPDX-License-Identifier: MIT OR Apache-2.0
//! The open volumes of an image: their members and their descriptions.

use super::Error;
use super::schema::{DESCRIPTION, INFORMATION};
use super::turtle::Triples;
use super::urn::{member_key, urn_key};
use super::warnings::Warnings;
use super::zip::{Archive, Entry, MAX_MEMBER_IN_MEMORY_BYTES, Member};
use crate::{Account, Budget, ReadAt};
use linpmem_phys::num::usize_as_u64;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One volume, or all volumes of a striped image.
pub(super) struct Store {
    volumes: Vec<Volume>,
    /// The index of the volume and of the entry of each member, by its absolute URN.
    members: BTreeMap<String, (usize, usize)>,
    triples: Triples,
    warnings: Warnings,
    accounts: Accounts,
}

/// The budget, with a share for each volume.
struct Accounts {
    first: Account,
    /// The others only keep their volumes' shares.
    _others: Vec<Account>,
}

pub(super) struct Volume {
    archive: Archive,
    urn: String,
}

/// What a member takes in the table of names, besides its name.
const KEY_BYTES: u64 = 64;

/// The longest URN of a volume to accept; they have a few dozen bytes.
const MAX_URN_BYTES: u64 = 4096;

impl Store {
    pub(super) fn open(sources: Vec<Arc<dyn ReadAt>>, budget: &Budget) -> Result<Self, Error> {
        let mut accounts = sources.iter().map(|source| budget.open(source));
        let accounts = Accounts {
            first: accounts.next().ok_or(Error::NotAff4)?,
            _others: accounts.collect(),
        };
        let mut store = Self {
            volumes: Vec::new(),
            members: BTreeMap::new(),
            triples: Triples::default(),
            warnings: Warnings::default(),
            accounts,
        };
        for source in sources {
            let archive = Archive::open(source, &store.accounts.first)?;
            store.add(archive)?;
        }
        Ok(store)
    }

    /// What may be held and done.
    pub(super) fn account(&self) -> &Account {
        &self.accounts.first
    }

    fn add(&mut self, archive: Archive) -> Result<(), Error> {
        let information = entry(&archive, INFORMATION).ok_or(Error::NotAff4)?;
        let account = &self.accounts.first;
        let information = archive.member(information, account)?;
        let size = information.len();
        let _text = account.lend("the description of an AFF4 volume", size)?;
        let information = information.read_all(MAX_MEMBER_IN_MEMORY_BYTES)?;
        let comment = urn_of(archive.comment());
        let described = match entry(&archive, DESCRIPTION) {
            Some(entry) => urn_of(&archive.member(entry, account)?.read_all(MAX_URN_BYTES)?),
            None => None,
        };
        if let (Some(comment), Some(described)) = (&comment, &described) {
            if comment != described {
                self.warnings.push(&format!(
                    "the volume has two names: {described} at its beginning, {comment} at its end"
                ));
            }
        }
        let urn = described.or(comment).ok_or(Error::NotAff4)?;
        if self.volumes.iter().any(|volume| volume.urn == urn) {
            return Err(Error::object(&urn, "this volume was given twice"));
        }
        self.triples.add(&information, &urn, account)?;
        if archive.repeated() > 0 {
            let repeated = archive.repeated();
            let warning = format!("the directory repeats {repeated} of its members");
            self.warnings.push(&warning);
        }
        let number = self.volumes.len();
        for (index, entry) in archive.entries().iter().enumerate() {
            let key = member_key(&urn, &entry.name);
            let bytes = usize_as_u64(key.len()) + KEY_BYTES;
            account.hold("the names of an AFF4 volume's members", bytes)?;
            if let Some((volume, other)) = self.members.insert(key, (number, index)) {
                let volume = self.volumes.get(volume);
                let other = volume.and_then(|volume| volume.archive.entries().get(other));
                // Each volume of a striped image holds the hashes of all streams.
                let is_copy = other.is_some_and(|other| {
                    (other.crc, other.content_bytes) == (entry.crc, entry.content_bytes)
                });
                if !is_copy {
                    let warning = format!("two members have the name {}", entry.name);
                    self.warnings.push(&warning);
                }
            }
        }
        self.volumes.push(Volume { archive, urn });
        Ok(())
    }

    pub(super) fn triples(&self) -> &Triples {
        &self.triples
    }

    /// Takes the warnings out.
    pub(super) fn take_warnings(&mut self) -> Warnings {
        std::mem::take(&mut self.warnings)
    }

    /// Whether a member holds the object `urn`.
    pub(super) fn has(&self, urn: &str) -> bool {
        self.members.contains_key(&urn_key(urn))
    }

    /// The members below the object `urn`: the rest of their names and their entries, by
    /// name.
    pub(super) fn below(&self, urn: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let prefix = format!("{}/", urn_key(urn));
        let from = self.members.range(prefix.clone()..);
        from.map_while(move |(name, &(volume, index))| {
            let rest = name.strip_prefix(&prefix)?;
            let archive = &self.volumes.get(volume)?.archive;
            Some((rest, archive.entries().get(index)?))
        })
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
            .map(|(volume, entry)| volume.archive.member(entry, self.account()))
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
            archive.entries().iter().map(|entry| {
                (
                    volume.urn.as_str(),
                    entry,
                    archive.member(entry, self.account()),
                )
            })
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
