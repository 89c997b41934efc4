// SPDX-License-Identifier: MIT OR Apache-2.0
//! The records of maps: which addresses are where in which stream.

use super::schema::{UNREADABLE, ZERO};
use crate::fields::Fields;

/// Size of a record: u64 offset in the map, u64 length, u64 offset in the target, u32
/// index of the target; all little-endian.
pub(super) const RECORD_BYTES: usize = 28;

/// A record of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) target_offset: u64,
    pub(super) target: u32,
}

/// The targets of the maps that linpmem writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Zero,
    Stream,
    Unreadable,
}

impl Target {
    /// Its index in the member `idx`.
    pub(super) const fn index(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::Stream => 1,
            Self::Unreadable => 2,
        }
    }
}

/// The member `idx` of the maps that linpmem writes: the targets by index.
pub(super) fn idx(stream: &str) -> String {
    format!("{ZERO}\n{stream}\n{UNREADABLE}\n")
}

impl Record {
    fn encode(self, target: &mut Vec<u8>) {
        for field in [self.start, self.len, self.target_offset] {
            target.extend(field.to_le_bytes());
        }
        target.extend(self.target.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            start: fields.u64()?,
            len: fields.u64()?,
            target_offset: fields.u64()?,
            target: fields.u32()?,
        })
    }

    /// Decodes a record from before the standard: start, offset in the target, length,
    /// index of the target.
    pub(super) fn decode_old(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            start: fields.u64()?,
            target_offset: fields.u64()?,
            len: fields.u64()?,
            target: fields.u32()?,
        })
    }
}

/// A map being written: records by address, without gaps between them.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    records: Vec<Record>,
    /// How many records are in the journal, not counting the last, which may have grown.
    journalled: usize,
}

impl MapBuilder {
    /// Maps `len` bytes from `start` on. If they continue the last record, it grows.
    pub(super) fn push(&mut self, start: u64, len: u64, target: Target, target_offset: u64) {
        if len == 0 {
            return;
        }
        let target = target.index();
        if let Some(last) = self.records.last_mut() {
            if last.target == target
                && last.start.checked_add(last.len) == Some(start)
                && last.target_offset.checked_add(last.len) == Some(target_offset)
            {
                last.len += len;
                return;
            }
        }
        self.records.push(Record {
            start,
            len,
            target_offset,
            target,
        });
    }

    /// Whether the last record is one of zeros, which more zeros would extend.
    pub(super) fn ends_in_zeros(&self) -> bool {
        self.records
            .last()
            .is_some_and(|last| last.target == Target::Zero.index())
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The content of the member `map`.
    pub(super) fn encoded(&self) -> Vec<u8> {
        encoded(&self.records)
    }

    /// The records that are not in the journal yet: the last one again, as it may have
    /// grown, and those after it.
    pub(super) fn journal(&mut self) -> Vec<u8> {
        let (_, fresh) = self.records.split_at(self.journalled);
        let bytes = encoded(fresh);
        // The last record may grow still.
        self.journalled = match self.records.len() {
            0 => 0,
            records => records - 1,
        };
        bytes
    }
}

/// The records, concatenated.
pub(super) fn encoded(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(records.len() * RECORD_BYTES);
    records.iter().for_each(|record| record.encode(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_and_records_read_back() {
        let mut map = MapBuilder::default();
        map.push(0, 0x1000, Target::Zero, 0);
        map.push(0x1000, 0x1000, Target::Zero, 0x1000);
        map.push(0x2000, 0x1000, Target::Stream, 0);
        assert_eq!(map.journal().len(), 2 * RECORD_BYTES);
        map.push(0x3000, 0x1000, Target::Stream, 0x1000);
        map.push(0x4000, 0x1000, Target::Stream, 0x8000);
        map.push(0x5000, 0, Target::Zero, 0);
        let records: Vec<Record> = map
            .encoded()
            .chunks(RECORD_BYTES)
            .map(|bytes| Record::decode(bytes).unwrap())
            .collect();
        assert_eq!(records, map.records);
        assert_eq!(records.len(), 3);
        assert_eq!(records[1].len, 0x2000);
        // The record that has grown, and the one after it.
        assert_eq!(map.journal().len(), 2 * RECORD_BYTES);
        assert_eq!(map.journal().len(), RECORD_BYTES);
        assert_eq!(Record::decode(&[0; 27]), None);
    }
}
