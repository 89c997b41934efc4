// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making a volume of what an unfinished acquisition left.

use super::Error;
use super::encoder::BLOCK_BYTES;
use super::map::{RECORD_BYTES, Record, encoded, idx};
use super::mapped::{pieces, resolved};
use super::schema::{DESCRIPTION, INFORMATION, JOURNAL, UNKNOWN};
use super::turtle::{Graph, Turtle, Value};
use super::urn::{member_key, member_name};
use super::zip::{
    Entry, MAX_MEMBER_IN_MEMORY_BYTES, Scanned, ZipStream, content, has_directory, scan,
};
use crate::{ImageOutput, ReadAt, WriteError};
use std::collections::HashMap;

/// What [`recover`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whole members that were found.
    pub members: usize,
    /// Bytes at the end that belong to no whole member.
    pub lost_bytes: u64,
    /// Bytes of memory that the map has now; `None` if the volume was not
    /// written here, so that nothing could be added to it but a directory.
    pub mapped_bytes: Option<u64>,
}

/// A volume that could not be recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// It could not be read, or is no volume.
    #[error(transparent)]
    Aff4(#[from] Error),
    /// The new one could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It is whole.
    #[error("this volume has its directory: there is nothing to recover")]
    Whole,
    /// Not even a beginning.
    #[error("there is no whole member of an AFF4 volume at the beginning of this file")]
    Nothing,
}

/// Bytes that are copied at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes to `out` the volume that `source` would have become: its whole members,
/// as they are, and a new directory. If it was written here, the map and the
/// description of what there is come between.
///
/// # Errors
/// If there is nothing to recover or `source` cannot be read, or `out` failed.
pub fn recover(source: &dyn ReadAt, out: &mut dyn ImageOutput) -> Result<Recovery, RecoverError> {
    let scanned = scan(source)?;
    if has_directory(source) {
        return Err(RecoverError::Whole);
    }
    let found = |name: &str| scanned.entries.iter().find(|entry| entry.name == name);
    let description = found(DESCRIPTION).ok_or(RecoverError::Nothing)?;
    let volume = content(source, description, 4096)?;
    let volume = String::from_utf8_lossy(&volume).trim().to_owned();
    copy(source, scanned.end, out)?;
    let mut zip = ZipStream::default();
    for entry in &scanned.entries {
        zip.adopt(entry);
    }
    let mut recovery = Recovery {
        members: scanned.entries.len(),
        lost_bytes: source.len().saturating_sub(scanned.end),
        mapped_bytes: None,
    };
    if let (Some(journal), None) = (found(JOURNAL), found(INFORMATION)) {
        let journal = content(source, journal, MAX_MEMBER_IN_MEMORY_BYTES)?;
        let left = Left {
            source,
            members: index(&volume, &scanned),
            volume: &volume,
        };
        recovery.mapped_bytes = Some(left.describe(journal, &mut zip, out)?);
    }
    zip.finish(&volume, out)?;
    Ok(recovery)
}

fn copy(source: &dyn ReadAt, end: u64, out: &mut dyn ImageOutput) -> Result<(), RecoverError> {
    let mut offset = 0;
    let mut buf = vec![0; usize::try_from(PIECE_BYTES).unwrap_or(0)];
    while offset < end {
        let len = PIECE_BYTES.min(end.saturating_sub(offset));
        buf.truncate(usize::try_from(len).unwrap_or(0));
        source
            .read_exact_at(offset, &mut buf)
            .map_err(Error::from)?;
        out.bytes(&buf).map_err(WriteError::from)?;
        offset = offset.saturating_add(len);
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

/// What is left of a volume that was written here.
struct Left<'a> {
    source: &'a dyn ReadAt,
    members: HashMap<String, &'a Entry>,
    volume: &'a str,
}

impl Left<'_> {
    /// Adds the members that the end of the acquisition would have: the map and
    /// information.turtle. Says how much memory the map has.
    fn describe(
        &self,
        journal: Vec<u8>,
        zip: &mut ZipStream,
        out: &mut dyn ImageOutput,
    ) -> Result<u64, RecoverError> {
        let mut graph = Graph::default();
        graph.add(&journal, self.volume)?;
        let one = |kind: &str| {
            let urn = graph.subjects().find(|urn| graph.is_a(urn, kind));
            urn.map(str::to_owned)
                .ok_or(Error::NoImage("its journal describes none"))
        };
        let (map, stream) = (one("Map")?, one("ImageStream")?);
        let chunks_in_segment = graph.number(&stream, &["chunksInSegment"]).unwrap_or(1);

        let (records, segments) = self.records(&map, &stream)?;
        // Only full segments have a journal.
        let size = segments
            .saturating_mul(chunks_in_segment)
            .saturating_mul(u64::from(BLOCK_BYTES));
        let mapped = records
            .iter()
            .fold(0, |sum: u64, record| sum.saturating_add(record.len));
        // What was not reached is neither zero nor unreadable.
        let records = with_unknown(records, graph.number(&map, &["size"]).unwrap_or(0));
        let names = format!("{}{}\n", idx(&stream), UNKNOWN);
        for (name, content) in [("map", encoded(&records)), ("idx", names.into_bytes())] {
            let name = member_name(self.volume, &format!("{map}/{name}"));
            zip.member(&name, &[&content], out)?;
        }
        let mut addition = Turtle::new();
        addition.say(&stream, &[("size", Value::Long(size))]);
        let information = [journal, addition.into_bytes()].concat();
        zip.member(INFORMATION, &[&information], out)?;
        Ok(mapped)
    }

    /// The records of all segments that are whole, sorted and disjoint, and how
    /// many segments that are.
    fn records(&self, map: &str, stream: &str) -> Result<(Vec<Record>, u64), Error> {
        let mut bytes = Vec::new();
        let mut segments: u64 = 0;
        loop {
            let journal = self.members.get(&format!("{map}/journal/{segments:08}"));
            let index = self.members.get(&format!("{stream}/{segments:08}.index"));
            let (Some(journal), Some(_)) = (journal, index) else {
                break;
            };
            bytes.extend(content(self.source, journal, MAX_MEMBER_IN_MEMORY_BYTES)?);
            segments = segments.saturating_add(1);
        }
        if bytes.len() % RECORD_BYTES != 0 {
            return Err(Error::object(map, "its journal ends within a record"));
        }
        let pieces = pieces(map, &bytes, 3, Record::decode)?;
        let records = resolved(&pieces).into_iter().map(|piece| Record {
            start: piece.start,
            len: piece.end.saturating_sub(piece.start),
            target_offset: piece.target_offset,
            target: u32::try_from(piece.target).unwrap_or(0),
        });
        Ok((records.collect(), segments))
    }
}

/// The records, and behind them what was never reached.
fn with_unknown(mut records: Vec<Record>, size: u64) -> Vec<Record> {
    let end = records
        .last()
        .map_or(0, |last| last.start.saturating_add(last.len));
    if size > end {
        records.push(Record {
            start: end,
            len: size.saturating_sub(end),
            target_offset: end,
            target: 3,
        });
    }
    records
}
