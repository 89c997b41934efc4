// SPDX-License-Identifier: MIT OR Apache-2.0
//! Maps: which addresses lie where in which stream.

use super::schema::{UNREADABLE, ZERO};
use super::zip::Fields;

/// Bytes of a record: u64 offset in the map, u64 length, u64 offset in the
/// target, u32 number of the target; all little-endian.
pub(super) const RECORD_BYTES: usize = 28;

/// A record of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) target_offset: u64,
    pub(super) target: u32,
}

/// The numbers of the targets of the maps that are written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Zero,
    Stream,
    Unreadable,
}

impl Target {
    const fn number(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::Stream => 1,
            Self::Unreadable => 2,
        }
    }
}

/// The member `idx` of the maps that are written here.
pub(super) fn idx(stream: &str) -> String {
    format!("{ZERO}\n{stream}\n{UNREADABLE}\n")
}

impl Record {
    pub(super) fn encoded(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let fields = [self.start, self.len, self.target_offset].map(u64::to_le_bytes);
        let all = fields.as_flattened().iter();
        for (byte, value) in bytes.iter_mut().zip(all.chain(&self.target.to_le_bytes())) {
            *byte = *value;
        }
        bytes
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

    /// In the order of maps before the standard: start, offset in the target,
    /// length, number of the target.
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

/// A map in the making: records by address, without gaps between them.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    records: Vec<Record>,
    /// Records that are in the journal, but for the last, which may have grown.
    journalled: usize,
}

impl MapBuilder {
    /// Maps `len` bytes from `start` on. A record that continues the one before
    /// it extends it.
    pub(super) fn push(&mut self, start: u64, len: u64, target: Target, target_offset: u64) {
        if len == 0 {
            return;
        }
        let target = target.number();
        if let Some(last) = self.records.last_mut() {
            if last.target == target
                && last.start.checked_add(last.len) == Some(start)
                && last.target_offset.checked_add(last.len) == Some(target_offset)
            {
                last.len = last.len.saturating_add(len);
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

    /// Whether a record of zeros at `start` would extend the last one.
    pub(super) fn ends_in_zeros(&self) -> bool {
        self.records
            .last()
            .is_some_and(|last| last.target == Target::Zero.number())
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The member `map`.
    pub(super) fn encoded(&self) -> Vec<u8> {
        encoded(&self.records)
    }

    /// What the map has that the journal does not: the last record again, as it
    /// may have grown, and those behind it.
    pub(super) fn journal(&mut self) -> Vec<u8> {
        let fresh = self.records.get(self.journalled..).unwrap_or_default();
        let bytes = encoded(fresh);
        self.journalled = self.records.len().saturating_sub(1);
        bytes
    }
}

/// Records, one behind the other.
pub(super) fn encoded(records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(|record| record.encoded()).collect()
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
        // The record that has grown, and the one behind it.
        assert_eq!(map.journal().len(), 2 * RECORD_BYTES);
        assert_eq!(map.journal().len(), RECORD_BYTES);
        assert_eq!(Record::decode(&[0; 27]), None);
    }
}
