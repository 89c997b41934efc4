// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recovering the volume of an acquisition that did not finish.

use super::Error;
use super::encoder::BLOCK_BYTES;
use super::map::{RECORD_BYTES, Record, encoded, idx};
use super::mapped::{pieces, resolved};
use super::schema::{DESCRIPTION, INFORMATION, JOURNAL, UNKNOWN};
use super::turtle::{Triples, Turtle, Value};
use super::urn::{member_key, member_name};
use super::zip::{
    Entry, MAX_MEMBER_IN_MEMORY_BYTES, Scanned, ZipStream, content, has_directory, scan,
};
use crate::{Account, Budget, Chunk, ImageOutput, OutputError, OverBudget, ReadAt, WriteError};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// What [`recover`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How many complete members were found.
    pub members: usize,
    /// Bytes at the end that belong to no complete member and are lost.
    pub lost_bytes: u64,
    /// Bytes of memory in the recovered map. `None` if linpmem did not write the volume,
    /// so that only its directory could be rebuilt.
    pub mapped_bytes: Option<u64>,
}

/// Why a volume could not be recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The volume cannot be read, or is not an AFF4 volume.
    #[error(transparent)]
    Aff4(#[from] Error),
    /// The new volume cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The volume makes the recovery hold or do too much.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// The volume is complete.
    #[error("this volume is complete: there is nothing to recover")]
    Whole,
    /// The file does not begin with a complete member.
    #[error("there is nothing to recover: this file does not begin as an AFF4 volume does")]
    Nothing,
}

/// The number of targets of the maps that linpmem writes ([`super::map::Target`]).
const TARGETS: usize = 3;
/// The index of the target that recovery adds to them.
const UNKNOWN_TARGET: u32 = 3;

/// Bytes to copy at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Writes to `out` a complete volume with what is left in `source`: its complete members,
/// unchanged, and a new directory. If linpmem wrote the volume, the map and the
/// description of the recovered memory are added. Memory that the acquisition did not
/// reach is marked as unknown.
///
/// # Errors
/// If there is nothing to recover, `source` cannot be read, or `out` failed.
pub fn recover(source: &dyn ReadAt, out: &mut dyn ImageOutput) -> Result<Recovery, RecoverError> {
    recover_within(source, out, &Budget::default())
}

/// As [`recover`], within `budget`.
///
/// # Errors
/// As [`recover`], or if the volume needs more than the budget.
pub fn recover_within(
    source: &dyn ReadAt,
    out: &mut dyn ImageOutput,
    budget: &Budget,
) -> Result<Recovery, RecoverError> {
    let rebuilt = Rebuilt::of(source, budget)?;
    copy(source, rebuilt.end, out)?;
    out.bytes(&rebuilt.tail).map_err(WriteError::from)?;
    Ok(rebuilt.recovery)
}

/// A complete volume, made from one that was cut off.
pub(super) struct Rebuilt {
    /// How many bytes of the old volume it begins with.
    pub(super) end: u64,
    /// What follows them.
    pub(super) tail: Vec<u8>,
    pub(super) recovery: Recovery,
}

impl Rebuilt {
    pub(super) fn of(source: &dyn ReadAt, budget: &Budget) -> Result<Self, RecoverError> {
        let account = budget.open(source);
        let scanned = scan(source, &account)?;
        if has_directory(source, &account)? {
            return Err(RecoverError::Whole);
        }
        let found = |name: &str| scanned.entries.iter().find(|entry| entry.name == name);
        let description = found(DESCRIPTION).ok_or(RecoverError::Nothing)?;
        let volume = content(source, description, 4096)?;
        let volume = String::from_utf8_lossy(&volume).trim().to_owned();
        let mut out = Tail {
            begin: scanned.end,
            bytes: Vec::new(),
        };
        let mut zip = ZipStream::default();
        for entry in &scanned.entries {
            zip.adopt(entry);
        }
        let mut recovery = Recovery {
            members: scanned.entries.len(),
            lost_bytes: source.len() - scanned.end,
            mapped_bytes: None,
        };
        if let (Some(journal), None) = (found(JOURNAL), found(INFORMATION)) {
            account.hold(
                "the journal of an unfinished AFF4 volume",
                journal.stored_bytes,
            )?;
            let journal = content(source, journal, MAX_MEMBER_IN_MEMORY_BYTES)?;
            let left = Left {
                source,
                account: &account,
                members: index(&volume, &scanned),
                volume: &volume,
            };
            recovery.mapped_bytes = Some(left.describe(journal, &mut zip, &mut out)?);
        }
        zip.finish(&volume, &mut out)?;
        Ok(Self {
            end: scanned.end,
            tail: out.bytes,
            recovery,
        })
    }
}

/// What is added to a volume that has `begin` bytes.
struct Tail {
    begin: u64,
    bytes: Vec<u8>,
}

impl ImageOutput for Tail {
    fn position(&self) -> u64 {
        // The volume is a file, and this is in memory.
        self.begin + usize_as_u64(self.bytes.len())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        let end = self.bytes.len().checked_add(u64_as_usize(len));
        let end = end.ok_or_else(|| OutputError {
            position: self.position(),
            source: std::io::ErrorKind::OutOfMemory.into(),
        })?;
        self.bytes.resize(end, 0);
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}

/// The beginning of a volume, and what was added to it.
pub(super) struct Completed {
    source: Arc<dyn ReadAt>,
    end: u64,
    tail: Vec<u8>,
}

impl Completed {
    pub(super) fn new(source: Arc<dyn ReadAt>, rebuilt: Rebuilt) -> Self {
        Self {
            source,
            end: rebuilt.end,
            tail: rebuilt.tail,
        }
    }
}

impl ReadAt for Completed {
    fn len(&self) -> u64 {
        self.end + usize_as_u64(self.tail.len())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let there = self.end.checked_sub(offset).map_or(0, u64_as_usize);
        let (old, new) = buf.split_at_mut(there.min(buf.len()));
        if !old.is_empty() {
            self.source.read_exact_at(offset, old)?;
        }
        if new.is_empty() {
            return Ok(());
        }
        let within = offset.saturating_sub(self.end);
        self.tail.read_exact_at(within, new)
    }
}

fn copy(source: &dyn ReadAt, end: u64, out: &mut dyn ImageOutput) -> Result<(), RecoverError> {
    let mut offset = 0;
    let mut buf = vec![0; PIECE_BYTES];
    while offset < end {
        buf.truncate(u64_as_usize(end - offset));
        source
            .read_exact_at(offset, &mut buf)
            .map_err(Error::from)?;
        out.bytes(&buf).map_err(WriteError::from)?;
        offset += usize_as_u64(buf.len());
    }
    Ok(())
}

fn index<'a>(volume: &str, scanned: &'a Scanned) -> HashMap<String, &'a Entry> {
    scanned
        .entries
        .iter()
        .map(|entry| (member_key(volume, &entry.name), entry))
        .collect()
}

/// What is left of a volume that linpmem wrote.
struct Left<'a> {
    source: &'a dyn ReadAt,
    account: &'a Account,
    members: HashMap<String, &'a Entry>,
    volume: &'a str,
}

impl Left<'_> {
    /// Adds the members that the end of an acquisition adds: the map and
    /// information.turtle. Returns the bytes of memory in the map.
    fn describe(
        &self,
        journal: Vec<u8>,
        zip: &mut ZipStream,
        out: &mut dyn ImageOutput,
    ) -> Result<u64, RecoverError> {
        let mut triples = Triples::default();
        triples.add(&journal, self.volume, self.account)?;
        let one = |kind: &str| {
            let urn = triples.subjects().find(|urn| triples.is_a(urn, kind));
            urn.map(str::to_owned)
                .ok_or(Error::NoImage("its journal does not describe one"))
        };
        let (map, stream) = (one("Map")?, one("ImageStream")?);
        let number = |urn: &str, name: &'static str| {
            let missing = || Error::object(urn, format!("the journal does not give its {name}"));
            triples.number(urn, &[name]).ok_or_else(missing)
        };
        let chunks_in_segment = number(&stream, "chunksInSegment")?;
        let map_size = number(&map, "size")?;
        let (records, segments) = self.records(&map, &stream)?;
        // Only full segments have a journal.
        let size = segments
            .checked_mul(chunks_in_segment)
            .and_then(|chunks| chunks.checked_mul(u64::from(BLOCK_BYTES)))
            .ok_or_else(|| Error::object(&stream, "its size exceeds 2^64 bytes"))?;
        // Records are disjoint parts of a 64-bit address space: the sum fits.
        let mapped = records.iter().map(|record| record.len).sum();
        // Memory that was not reached is neither zero nor unreadable.
        let records = with_unknown(records, map_size);
        let names = format!("{}{}\n", idx(&stream), UNKNOWN);
        for (name, content) in [("map", encoded(&records)), ("idx", names.into_bytes())] {
            let name = member_name(self.volume, &format!("{map}/{name}"));
            zip.member(name.as_str(), &content, out)?;
        }
        let mut addition = Turtle::new();
        addition.write_triples(&stream, &[("size", Value::Long(size))]);
        let information = [journal, addition.into_bytes()].concat();
        zip.member(INFORMATION, &information, out)?;
        Ok(mapped)
    }

    /// The records of all complete segments, sorted and disjoint, and the number of
    /// these segments.
    fn records(&self, map: &str, stream: &str) -> Result<(Vec<Record>, u64), Error> {
        let mut bytes = Vec::new();
        let mut segments: u64 = 0;
        loop {
            let journal = self.members.get(&format!("{map}/journal/{segments:08}"));
            let index = self.members.get(&format!("{stream}/{segments:08}.index"));
            let (Some(journal), Some(_)) = (journal, index) else {
                break;
            };
            // They are kept as bytes, as pieces and as records.
            let size = journal.stored_bytes.saturating_mul(6);
            self.account
                .hold("the journals of an unfinished AFF4 volume", size)?;
            bytes.extend(content(self.source, journal, MAX_MEMBER_IN_MEMORY_BYTES)?);
            segments += 1;
        }
        if bytes.len() % RECORD_BYTES != 0 {
            return Err(Error::object(
                map,
                "its journal is truncated within a record",
            ));
        }
        let pieces = pieces(map, &bytes, TARGETS, Record::decode)?;
        let records = resolved(&pieces).into_iter().map(|piece| {
            Ok(Record {
                start: piece.start,
                len: piece.end - piece.start,
                target_offset: piece.target_offset,
                target: u32::try_from(piece.target)
                    .map_err(|_| Error::object(map, "it has too many targets"))?,
            })
        });
        Ok((records.collect::<Result<_, Error>>()?, segments))
    }
}

/// Adds a record for the memory that was not reached.
fn with_unknown(mut records: Vec<Record>, size: u64) -> Vec<Record> {
    let end = records.last().map_or(0, |last| last.start + last.len);
    if size > end {
        records.push(Record {
            start: end,
            len: size - end,
            target_offset: end,
            target: UNKNOWN_TARGET,
        });
    }
    records
}
