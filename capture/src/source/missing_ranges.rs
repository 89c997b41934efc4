// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ranges of an image, with those that it lacks and that its run had planned.

use super::planned::Planned;
use linpmem_formats::{StoredRange, Truncation};
use linpmem_phys::{Content, PhysAddr, PhysRange, Unreadable};

/// Gives pages that the image left out the reason that the manifest has for them.
pub(super) fn with_reasons(
    stored: Vec<StoredRange>,
    unreadable: &[Unreadable],
) -> Vec<StoredRange> {
    let mut ranges = Vec::with_capacity(stored.len());
    for whole in stored {
        let mut rest = Some(whole);
        let first = unreadable.partition_point(|item| item.range.end() <= whole.range.start());
        for item in unreadable.iter().skip(first) {
            let Some(current) = rest.filter(|current| {
                matches!(current.content, Content::Skipped { .. })
                    && item.range.start() < current.range.end()
            }) else {
                break;
            };
            let (before, after) = cut(current, item.range.start());
            ranges.extend(before);
            let (within, above) = after.map_or((None, None), |after| cut(after, item.range.end()));
            ranges.extend(within.map(|part| StoredRange {
                content: Content::Unreadable { errno: item.errno },
                ..part
            }));
            rest = above;
        }
        ranges.extend(rest);
    }
    ranges
}

/// The ranges of an image, cut where the kind changes, with those that it lacks.
pub(super) fn with_missing(stored: &[StoredRange], planned: &[Planned]) -> Vec<StoredRange> {
    let mut ranges = Vec::with_capacity(stored.len() + planned.len());
    let mut next = 0;
    let mut rest: Option<StoredRange> = None;
    let mut stored = stored.iter().copied();
    rest = rest.or_else(|| stored.next());
    while let Some(current) = rest {
        let Some(known) = planned.get(next) else {
            ranges.push(current);
            rest = stored.next();
            continue;
        };
        // What is planned before the image's next range is missing.
        if known.range.start() < current.range.start() {
            let border = current.range.start().min(known.range.end());
            let gap = gap_before(&ranges, known, border);
            ranges.extend(gap);
            if known.range.end() <= current.range.start() {
                next += 1;
                continue;
            }
        }
        let (before, after) = cut(current, known.range.start());
        ranges.extend(before);
        let Some(after) = after else {
            rest = stored.next();
            continue;
        };
        let (within, above) = cut(after, known.range.end());
        ranges.extend(within.map(|part| StoredRange {
            kind: part.kind.or(Some(known.kind)),
            ..part
        }));
        if above.is_some() {
            next += 1;
        }
        rest = above.or_else(|| stored.next());
    }
    for known in planned.iter().skip(next) {
        ranges.extend(gap_before(&ranges, known, known.range.end()));
    }
    ranges
}

/// What `ranges` so far lack of `known` below `border`.
fn gap_before(ranges: &[StoredRange], known: &Planned, border: PhysAddr) -> Option<StoredRange> {
    let done = ranges.last().map_or(known.range.start(), |last| {
        last.range.end().max(known.range.start())
    });
    let range = PhysRange::new(done, border).ok()?;
    Some(StoredRange {
        range,
        kind: Some(known.kind),
        content: Content::Unreadable {
            errno: Truncation::ERRNO,
        },
        offset: None,
    })
}

fn cut(whole: StoredRange, addr: PhysAddr) -> (Option<StoredRange>, Option<StoredRange>) {
    let (below, above) = whole.range.split_at(addr);
    let moved = above.map(|range| {
        let within = range.start().checked_sub(whole.range.start());
        StoredRange {
            range,
            offset: whole
                .offset
                .zip(within)
                .and_then(|(offset, within)| offset.checked_add(within.get())),
            ..whole
        }
    });
    (below.map(|range| StoredRange { range, ..whole }), moved)
}
