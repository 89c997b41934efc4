// SPDX-License-Identifier: MIT OR Apache-2.0
//! From segments, which may overlap, to ranges, which do not.
//!
//! Every step is one pass over sorted lists: a hostile file must not make it
//! quadratic.

use super::Error;
use super::headers::Load;
use crate::StoredRange;
use linpmem_phys::{Content, PhysAddr, PhysRange, RegionKind, SkipReason};

/// Where the kernel maps itself (`__START_KERNEL_map`). Segments from here on
/// show the kernel's text once more: kexec's cores have one such.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// The lower half of the address space is for processes.
const KERNEL_HALF: u64 = 0xffff_8000_0000_0000;

/// What the segments hold, sorted and disjoint.
///
/// Where two give the same bytes of the file for the same addresses, as kernels
/// and QEMU do for memory that is mapped twice, they count once. Where the
/// kernel's own mapping gives others than the direct map, the direct map counts:
/// it is the file's body.
pub(super) fn resolve(loads: &[Load]) -> Result<Vec<StoredRange>, Error> {
    let (images, bodies): (Vec<Load>, Vec<Load>) =
        loads.iter().partition(|load| load.vaddr >= KERNEL_MAP);
    let body = disjoint(&bodies)?;
    let image = disjoint(&images)?;
    let image = subtract(&image, &body);
    let present = merge(body, image);
    let named: Vec<StoredRange> = absent(loads);
    let missing = subtract(&named, &present);
    Ok(merge(present, missing))
}

/// Where the direct map begins, if all segments agree on it.
pub(super) fn direct_map_base(loads: &[Load]) -> Option<u64> {
    let mut bases = loads
        .iter()
        .filter(|load| load.vaddr < KERNEL_MAP)
        .map(|load| load.vaddr.checked_sub(load.range.start().get()));
    let first = bases.next()??;
    (first >= KERNEL_HALF && bases.all(|base| base == Some(first))).then_some(first)
}

/// The kinds that `kinds`, sorted and disjoint, gives to the ranges. A range with
/// several is cut.
pub(super) fn with_kinds(
    stored: Vec<StoredRange>,
    kinds: &[(PhysRange, Option<RegionKind>)],
) -> Vec<StoredRange> {
    let mut named = Vec::with_capacity(stored.len());
    let mut next_kind = 0;
    for whole in stored {
        let mut rest = Some(whole);
        while let Some((range, kind)) = kinds.get(next_kind) {
            let Some(current) = rest else {
                break;
            };
            if range.end() <= current.range.start() {
                next_kind = next_kind.saturating_add(1);
                continue;
            }
            let (before, after) = cut(current, range.start());
            let Some(after) = after else {
                break; // the kind lies above
            };
            named.extend(before);
            let (within, above) = cut(after, range.end());
            named.extend(within.map(|part| StoredRange {
                kind: *kind,
                ..part
            }));
            rest = above;
        }
        named.extend(rest);
    }
    named
}

/// What is in the file, sorted; segments that repeat others are trimmed.
fn disjoint(loads: &[Load]) -> Result<Vec<StoredRange>, Error> {
    let mut sorted: Vec<StoredRange> = loads.iter().filter_map(stored).collect();
    sorted.sort_by_key(|stored| (stored.range.start(), stored.offset));
    let mut result: Vec<StoredRange> = Vec::with_capacity(sorted.len());
    for upper in sorted {
        let Some(lower) = result.last() else {
            result.push(upper);
            continue;
        };
        if upper.range.start() >= lower.range.end() {
            result.push(upper);
            continue;
        }
        if bias(lower) != bias(&upper) {
            return Err(Error::Overlap {
                lower: lower.range,
                upper: upper.range,
            });
        }
        let (_, above) = cut(upper, lower.range.end());
        result.extend(above);
    }
    Ok(result)
}

/// The same for two segments if they give the same bytes to the same addresses.
fn bias(stored: &StoredRange) -> Option<u64> {
    Some(stored.offset?.wrapping_sub(stored.range.start().get()))
}

fn stored(load: &Load) -> Option<StoredRange> {
    Some(StoredRange {
        range: PhysRange::from_len(load.range.start(), load.stored).ok()?,
        kind: None,
        content: Content::Data,
        offset: Some(load.offset),
    })
}

/// What segments name but the file has no bytes for, sorted and disjoint.
fn absent(loads: &[Load]) -> Vec<StoredRange> {
    let mut ranges: Vec<PhysRange> = loads
        .iter()
        .filter_map(|load| {
            let stored_end = load.range.start().checked_add(load.stored)?;
            load.range.split_at(stored_end).1
        })
        .collect();
    ranges.sort();
    let mut result: Vec<StoredRange> = Vec::with_capacity(ranges.len());
    let mut taken = PhysAddr::ZERO;
    for range in ranges {
        if let (_, Some(range)) = range.split_at(taken) {
            taken = range.end();
            result.push(StoredRange {
                range,
                kind: None,
                content: Content::Skipped {
                    reason: SkipReason::NotRequested,
                },
                offset: None,
            });
        }
    }
    result
}

/// Marks what lies in none of `named` as not read: zeros that fill a gap.
pub(super) fn without_filling(
    ranges: &mut [StoredRange],
    named: &[(PhysRange, Option<RegionKind>)],
) {
    for stored in ranges {
        let behind = named.partition_point(|(range, _)| range.start() <= stored.range.start());
        let known = behind.checked_sub(1).and_then(|index| named.get(index));
        if !known.is_some_and(|(range, _)| range.covers(stored.range)) {
            stored.content = Content::Skipped {
                reason: SkipReason::NotRequested,
            };
            stored.offset = None;
        }
    }
}

/// The parts of `from` that lie in no range of `taken`; both sorted and disjoint.
fn subtract(from: &[StoredRange], taken: &[StoredRange]) -> Vec<StoredRange> {
    let mut result = Vec::new();
    let mut next_taken = 0;
    for whole in from {
        let mut rest = Some(*whole);
        while let Some(taken) = taken.get(next_taken) {
            let Some(current) = rest else {
                break;
            };
            if taken.range.end() <= current.range.start() {
                next_taken = next_taken.saturating_add(1);
                continue;
            }
            let (before, after) = cut(current, taken.range.start());
            let Some(after) = after else {
                break; // what is taken lies above
            };
            result.extend(before);
            rest = cut(after, taken.range.end()).1;
        }
        result.extend(rest);
    }
    result
}

/// Both lists, which share no address, as one.
fn merge(mut lower: Vec<StoredRange>, upper: Vec<StoredRange>) -> Vec<StoredRange> {
    lower.extend(upper);
    lower.sort_by_key(|stored| stored.range);
    lower
}

/// What lies below `addr`, and what at or above it.
fn cut(whole: StoredRange, addr: PhysAddr) -> (Option<StoredRange>, Option<StoredRange>) {
    let (below, above) = whole.range.split_at(addr);
    (
        below.map(|range| StoredRange { range, ..whole }),
        above.map(|range| {
            let skipped = range.start().checked_sub(whole.range.start());
            StoredRange {
                range,
                offset: whole
                    .offset
                    .zip(skipped)
                    .and_then(|(offset, skipped)| offset.checked_add(skipped.get())),
                ..whole
            }
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::PhysLen;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    const BASE: u64 = 0xffff_8880_0000_0000;

    fn load(start: u64, end: u64, offset: u64) -> Load {
        Load {
            range: range(start, end),
            vaddr: BASE + start,
            offset,
            stored: PhysLen::new(end - start),
        }
    }

    fn parts(stored: &[StoredRange]) -> Vec<(u64, u64, Option<u64>)> {
        stored
            .iter()
            .map(|part| {
                (
                    part.range.start().get(),
                    part.range.end().get(),
                    part.offset,
                )
            })
            .collect()
    }

    #[test]
    fn kexec_cores_show_the_kernel_twice_and_are_unsorted() {
        let text = Load {
            vaddr: 0xffff_ffff_8100_0000,
            ..load(0x20_0000, 0x40_0000, 0x9000)
        };
        let high = load(0x10_0000, 0x80_0000, 0x20_0000);
        let low = load(0x1000, 0x9_fc00, 0x1000);
        let resolved = resolve(&[text, high, low]).unwrap();
        assert_eq!(
            parts(&resolved),
            [
                (0x1000, 0x9_fc00, Some(0x1000)),
                (0x10_0000, 0x80_0000, Some(0x20_0000))
            ]
        );
        assert_eq!(direct_map_base(&[text, high, low]), Some(BASE));
    }

    #[test]
    fn text_outside_all_other_segments_is_kept() {
        let text = Load {
            vaddr: 0xffff_ffff_8100_0000,
            ..load(0x1000, 0x5000, 0x9000)
        };
        let body = load(0x2000, 0x3000, 0x1000);
        assert_eq!(
            parts(&resolve(&[text, body]).unwrap()),
            [
                (0x1000, 0x2000, Some(0x9000)),
                (0x2000, 0x3000, Some(0x1000)),
                (0x3000, 0x5000, Some(0xb000)),
            ]
        );
    }

    #[test]
    fn the_same_bytes_may_be_claimed_twice_but_not_others() {
        let lower = load(0x1000, 0x4000, 0x1000);
        let same = load(0x3000, 0x6000, 0x3000);
        assert_eq!(
            parts(&resolve(&[same, lower]).unwrap()),
            [
                (0x1000, 0x4000, Some(0x1000)),
                (0x4000, 0x6000, Some(0x4000))
            ]
        );
        let other = load(0x3000, 0x6000, 0x4000);
        assert!(matches!(
            resolve(&[lower, other]),
            Err(Error::Overlap { .. })
        ));
    }

    #[test]
    fn what_the_file_does_not_hold_is_not_zero() {
        let short = Load {
            stored: PhysLen::new(0x1000),
            ..load(0x1000, 0x5000, 0x1000)
        };
        let inside = load(0x3000, 0x4000, 0x8000);
        let resolved = resolve(&[short, inside]).unwrap();
        assert_eq!(
            parts(&resolved),
            [
                (0x1000, 0x2000, Some(0x1000)),
                (0x2000, 0x3000, None),
                (0x3000, 0x4000, Some(0x8000)),
                (0x4000, 0x5000, None),
            ]
        );
        assert!(matches!(resolved[1].content, Content::Skipped { .. }));
    }

    #[test]
    fn kinds_cut_segments_where_they_change() {
        let resolved = resolve(&[load(0x1000, 0x6000, 0x1000), load(0x8000, 0x9000, 0x6000)]);
        let kinds = [
            (range(0, 0x2000), Some(RegionKind::SystemRam)),
            (range(0x3000, 0x4000), Some(RegionKind::Reserved)),
            (range(0x5000, 0x8800), None),
        ];
        let named = with_kinds(resolved.unwrap(), &kinds);
        assert_eq!(
            parts(&named),
            [
                (0x1000, 0x2000, Some(0x1000)),
                (0x2000, 0x3000, Some(0x2000)),
                (0x3000, 0x4000, Some(0x3000)),
                (0x4000, 0x5000, Some(0x4000)),
                (0x5000, 0x6000, Some(0x5000)),
                (0x8000, 0x8800, Some(0x6000)),
                (0x8800, 0x9000, Some(0x6800)),
            ]
        );
        let kinds: Vec<_> = named.iter().map(|part| part.kind).collect();
        assert_eq!(kinds[0], Some(RegionKind::SystemRam));
        assert_eq!(kinds[2], Some(RegionKind::Reserved));
        assert_eq!(kinds.iter().flatten().count(), 2);
    }

    #[test]
    fn no_base_where_segments_disagree_or_have_no_virtual_address() {
        let zero = Load {
            vaddr: 0,
            ..load(0x1000, 0x2000, 0)
        };
        assert_eq!(direct_map_base(&[zero]), None);
        assert_eq!(direct_map_base(&[load(0x1000, 0x2000, 0), zero]), None);
        assert_eq!(direct_map_base(&[]), None);
    }
}
