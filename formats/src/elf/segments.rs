// SPDX-License-Identifier: MIT OR Apache-2.0
//! Turning segments, which may overlap, into ranges, which do not.
//!
//! Every step is one pass over sorted lists, so that a hostile file cannot make it
//! quadratic.

use super::Error;
use super::headers::Load;
use super::image_mapping::ImageMapping;
use crate::StoredRange;
use linpmem_kinfo::layout::Layout;
use linpmem_phys::{Content, PhysAddr, PhysRange, RegionKind, SkipReason};

/// What the segments hold, sorted and disjoint.
///
/// Where two segments refer to the same bytes of the file for the same addresses, as
/// kernels and QEMU write them for memory that is mapped twice, they count once. Where
/// a segment of the kernel's own mapping differs from the direct map, the direct map
/// wins: kexec's cores have a segment that shows the kernel's text a second time.
pub(super) fn resolve(loads: &[Load], image: &ImageMapping) -> Result<Vec<StoredRange>, Error> {
    let (images, bodies): (Vec<Load>, Vec<Load>) = loads.iter().partition(|load| image.has(load));
    let body = disjoint(&bodies)?;
    let image = disjoint(&images)?;
    let image = subtract(&image, &body);
    let present = merge(body, image);
    let named: Vec<StoredRange> = absent(loads);
    let missing = subtract(&named, &present);
    Ok(merge(present, missing))
}

/// What the direct map adds to a physical address, if all segments agree.
pub(super) fn direct_map_base(
    loads: &[Load],
    image: &ImageMapping,
    layout: &Layout,
) -> Option<u64> {
    let mut direct = loads
        .iter()
        .filter(|load| !image.has(load) && load.stored.get() > 0);
    let base_of = |load: &Load| {
        let base = load.vaddr.checked_sub(load.range.start().get())?;
        layout.may_be_direct_map(load.vaddr).then_some(base)
    };
    let first = base_of(direct.next()?)?;
    direct
        .all(|load| base_of(load) == Some(first))
        .then_some(first)
}

/// Gives the ranges their kinds from `kinds`, which are sorted and disjoint. A range
/// with several kinds is split.
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
                next_kind += 1;
                continue;
            }
            let (before, after) = cut(current, range.start());
            let Some(after) = after else {
                break; // this kind begins above the range
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

/// What the file stores, sorted; segments that repeat others are trimmed.
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

/// Equal for two segments that refer to the same bytes for the same addresses.
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

/// What segments cover but the file does not store, sorted and disjoint.
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

/// Marks what is in none of `named` as not read: it is padding in a gap.
pub(super) fn without_padding(
    ranges: &mut [StoredRange],
    named: &[(PhysRange, Option<RegionKind>)],
) {
    for stored in ranges {
        let after = named.partition_point(|(range, _)| range.start() <= stored.range.start());
        let known = after.checked_sub(1).and_then(|index| named.get(index));
        if !known.is_some_and(|(range, _)| range.covers(stored.range)) {
            stored.content = Content::Skipped {
                reason: SkipReason::NotRequested,
            };
            stored.offset = None;
        }
    }
}

/// The parts of `from` that are in no range of `taken`; both sorted and disjoint.
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
                next_taken += 1;
                continue;
            }
            let (before, after) = cut(current, taken.range.start());
            let Some(after) = after else {
                break; // this part begins above the range
            };
            result.extend(before);
            rest = cut(after, taken.range.end()).1;
        }
        result.extend(rest);
    }
    result
}

/// Merges two lists that share no address.
fn merge(mut lower: Vec<StoredRange>, upper: Vec<StoredRange>) -> Vec<StoredRange> {
    lower.extend(upper);
    lower.sort_by_key(|stored| stored.range);
    lower
}

/// Splits a range into what is below `addr` and what is at or above it.
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
    use linpmem_kinfo::layout::{X86_64, x86_64::START_KERNEL_MAP};
    use linpmem_phys::PhysLen;

    const IMAGE: ImageMapping = ImageMapping::From(START_KERNEL_MAP);

    fn resolve(loads: &[Load]) -> Result<Vec<StoredRange>, Error> {
        super::resolve(loads, &IMAGE)
    }

    fn direct_map_base(loads: &[Load]) -> Option<u64> {
        super::direct_map_base(loads, &IMAGE, &X86_64)
    }

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
    fn segments_may_repeat_bytes_but_not_contradict_each_other() {
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
        let process = Load {
            vaddr: 0x7fff_0000_0000 + 0x1000,
            ..load(0x1000, 0x2000, 0)
        };
        assert_eq!(direct_map_base(&[process]), None);
    }

    #[test]
    fn the_direct_map_begins_lower_with_five_levels() {
        let base = 0xff11_0000_0000_0000;
        let five = Load {
            vaddr: base + 0x1000,
            ..load(0x1000, 0x2000, 0)
        };
        assert_eq!(direct_map_base(&[five]), Some(base));
    }
}
