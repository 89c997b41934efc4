// SPDX-License-Identifier: MIT OR Apache-2.0
//! linpmem's own note: what an ELF core has no fields for.
//!
//! Owner `LINPMEM`, type 0x4c504d31 ("LPM1"). All numbers little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | version, 1 |
//! | 2 | 2 | size of this header, 32: where the records begin |
//! | 4 | 2 | size of a record, 24 |
//! | 6 | 2 | paging levels, 4 or 5; 0: unknown |
//! | 8 | 8 | number of records |
//! | 16 | 8 | virtual address of physical address 0 in the direct map; 0: unknown |
//! | 24 | 4 | 1: what segments hold outside of the records is padding; else 0 |
//! | 28 | 4 | reserved, 0 |
//!
//! followed by the records, sorted by address and disjoint:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | first physical address |
//! | 8 | 8 | physical address after the last |
//! | 16 | 4 | kind, see [`kind_code`] |
//! | 20 | 4 | reserved, 0 |
//!
//! A later version of the note may only lengthen the header or the records: readers
//! take both sizes from the note and ignore what they do not know.

use crate::{ImagePlan, PlannedRange, WriteError};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PhysAddr, PhysRange, RegionKind};
use scroll::{LE, Pread};

/// The note's owner.
pub(super) const NAME: &[u8] = b"LINPMEM";
/// The note's type. crash checks only the type, not the owner; this one means nothing to
/// it.
pub(super) const TYPE: u32 = 0x4c50_4d31;

const VERSION: u16 = 1;
const PADDED: u32 = 1;
const HEADER_BYTES: u16 = 32;
const RECORD_BYTES: u16 = 24;

/// The numbers of the kinds in the note. 0 is a kind without a number.
const KIND_CODES: [(u32, RegionKind); 10] = [
    (1, RegionKind::SystemRam),
    (2, RegionKind::Reserved),
    (3, RegionKind::AcpiTables),
    (4, RegionKind::AcpiNonVolatile),
    (5, RegionKind::SoftReserved),
    (6, RegionKind::PersistentMemory),
    (7, RegionKind::Unusable),
    (8, RegionKind::Rom),
    (9, RegionKind::Device),
    (10, RegionKind::Hole),
];

/// The content of the note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeNote {
    pub(super) paging_levels: Option<u32>,
    pub(super) direct_map_base: Option<u64>,
    /// Sorted by address and disjoint.
    pub(super) kinds: Vec<(PhysRange, Option<RegionKind>)>,
    /// Whether what segments hold outside of `kinds` is padding.
    pub(super) is_padded: bool,
}

/// The number of a kind in the note.
fn kind_code(kind: RegionKind) -> u32 {
    KIND_CODES
        .iter()
        .find_map(|&(code, listed)| (listed == kind).then_some(code))
        .unwrap_or(0)
}

fn kind_of(code: u32) -> Option<RegionKind> {
    KIND_CODES
        .iter()
        .find_map(|&(listed, kind)| (listed == code).then_some(kind))
}

/// Size of the note's content for this many ranges, which are in memory.
pub(super) fn content_bytes(ranges: usize) -> u64 {
    u64::from(HEADER_BYTES) + usize_as_u64(ranges) * u64::from(RECORD_BYTES)
}

/// The note's content for `plan`. `is_padded`: the image has zeros in the gaps
/// between some of the ranges.
pub(super) fn content(plan: &ImagePlan, is_padded: bool) -> Result<Vec<u8>, WriteError> {
    let machine = plan.machine();
    let levels = u16::try_from(machine.paging_levels.unwrap_or(0))
        .map_err(|_| WriteError::Misuse("the number of paging levels exceeds 65,535"))?;
    let mut content = Vec::new();
    for field in [VERSION, HEADER_BYTES, RECORD_BYTES, levels] {
        content.extend_from_slice(&field.to_le_bytes());
    }
    for field in [
        usize_as_u64(plan.ranges().len()),
        machine.direct_map_base.unwrap_or(0),
        u64::from(is_padded),
    ] {
        content.extend_from_slice(&field.to_le_bytes());
    }
    for PlannedRange { range, kind } in plan.ranges() {
        content.extend_from_slice(&range.start().get().to_le_bytes());
        content.extend_from_slice(&range.end().get().to_le_bytes());
        content.extend_from_slice(&kind_code(*kind).to_le_bytes());
        content.extend_from_slice(&0_u32.to_le_bytes());
    }
    Ok(content)
}

/// Parses the note's content, or returns what is wrong with it.
pub(super) fn parse(content: &[u8]) -> Result<RangeNote, &'static str> {
    let short = |_: scroll::Error| "is shorter than its header";
    let version: u16 = content.pread_with(0, LE).map_err(short)?;
    if version == 0 {
        return Err("has the invalid version 0");
    }
    let header_bytes: u16 = content.pread_with(2, LE).map_err(short)?;
    let record_bytes: u16 = content.pread_with(4, LE).map_err(short)?;
    let levels: u16 = content.pread_with(6, LE).map_err(short)?;
    let count: u64 = content.pread_with(8, LE).map_err(short)?;
    let base: u64 = content.pread_with(16, LE).map_err(short)?;
    let flags: u32 = content.pread_with(24, LE).map_err(short)?;
    if header_bytes < HEADER_BYTES || record_bytes < RECORD_BYTES {
        return Err("has a header or records shorter than those of version 1");
    }
    let records = content
        .get(usize::from(header_bytes)..)
        .ok_or("is shorter than its header")?;
    let present = usize_as_u64(records.len()) / u64::from(record_bytes);
    if count > present {
        return Err("is shorter than its number of ranges requires");
    }
    let count = u64_as_usize(count);
    let mut kinds: Vec<(PhysRange, Option<RegionKind>)> = Vec::with_capacity(count);
    for record in records.chunks_exact(usize::from(record_bytes)).take(count) {
        let short = |_: scroll::Error| "has a truncated record";
        let start: u64 = record.pread_with(0, LE).map_err(short)?;
        let end: u64 = record.pread_with(8, LE).map_err(short)?;
        let code: u32 = record.pread_with(16, LE).map_err(short)?;
        let range = PhysRange::new(PhysAddr::new(start), PhysAddr::new(end))
            .map_err(|_| "has an empty range")?;
        if kinds
            .last()
            .is_some_and(|(lower, _)| range.start() < lower.end())
        {
            return Err("has ranges out of order");
        }
        kinds.push((range, kind_of(code)));
    }
    Ok(RangeNote {
        paging_levels: (levels != 0).then_some(u32::from(levels)),
        direct_map_base: (base != 0).then_some(base),
        kinds,
        is_padded: flags & PADDED != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MachineFacts;

    fn plan() -> ImagePlan {
        let range = |start, end| PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap();
        ImagePlan::new(
            vec![
                PlannedRange {
                    range: range(0x1000, 0x3000),
                    kind: RegionKind::SystemRam,
                },
                PlannedRange {
                    range: range(0x3000, 0x4000),
                    kind: RegionKind::Reserved,
                },
            ],
            MachineFacts {
                vmcoreinfo: None,
                direct_map_base: Some(0xffff_8880_0000_0000),
                paging_levels: Some(4),
                ..MachineFacts::default()
            },
        )
        .unwrap()
    }

    #[test]
    fn reads_back_what_was_written() {
        let bytes = content(&plan(), false).unwrap();
        assert_eq!(usize_as_u64(bytes.len()), content_bytes(2));
        let note = parse(&bytes).unwrap();
        assert_eq!(note.paging_levels, Some(4));
        assert_eq!(note.direct_map_base, Some(0xffff_8880_0000_0000));
        assert_eq!(note.kinds.len(), 2);
        assert_eq!(note.kinds[1].1, Some(RegionKind::Reserved));
    }

    #[test]
    fn a_longer_note_of_a_later_version_still_reads() {
        let mut bytes = content(&plan(), false).unwrap();
        bytes[0] = 2;
        bytes[2] = 40;
        for _ in 0..8 {
            bytes.insert(32, 0xaa);
        }
        assert_eq!(
            parse(&bytes).unwrap(),
            parse(&content(&plan(), false).unwrap()).unwrap()
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let good = content(&plan(), false).unwrap();
        for cut in 0..good.len() {
            assert!(parse(&good[..cut]).is_err(), "{cut} bytes");
        }
        let mut counts_too_many = good.clone();
        counts_too_many[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse(&counts_too_many).is_err());
        let mut overlaps = good.clone();
        overlaps[56..64].copy_from_slice(&0x2000_u64.to_le_bytes());
        assert_eq!(parse(&overlaps), Err("has ranges out of order"));
    }
}
