// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ranges that an image describes.

use super::graph::ObjectGraph;
use super::mapped::{Mapped, Source};
use super::store::Store;
use super::symbolic::Symbolic;
use super::turtle::Triples;
use super::warnings::Warnings;
use crate::{OverBudget, ReadAt, StoredRange};
use linpmem_phys::{Content, Errno, PhysAddr, PhysLen, PhysRange, RegionKind, SkipReason};

/// A range of memory that the image describes, or that its map contains.
type Described = (PhysRange, Option<RegionKind>);

/// The ranges of the image: those that it describes as memory, or, without any, those that
/// its map contains.
pub(super) fn ranges(
    store: &Store,
    objects: &ObjectGraph,
    warnings: &mut Warnings,
) -> Result<Vec<StoredRange>, OverBudget> {
    let memory = &*objects.memory;
    let mut described = described(store.triples(), &objects.image, memory.len());
    // Each piece and each described range can begin two ranges, which are kept twice.
    let most = 2 * (memory.pieces().len() + described.len());
    let account = store.account();
    account.hold_items::<StoredRange>("the ranges of an AFF4 image", most)?;
    if described.is_empty() {
        described = mapped(memory);
    }
    let mut ranges = Vec::with_capacity(described.len());
    let mut next = PhysAddr::ZERO;
    for (range, kind) in described {
        let (_, rest) = range.split_at(next);
        if rest != Some(range) {
            warnings.push(&format!("{range} is described twice"));
        }
        if let Some(range) = rest {
            next = range.end();
            with_content(memory, range, kind, &mut ranges);
        }
    }
    account.hold_ranges(ranges.len())?;
    Ok(ranges)
}

/// The ranges of the PhysicalMemoryMap objects of `image`, sorted.
fn described(triples: &Triples, image: &str, size: u64) -> Vec<Described> {
    let mut described: Vec<Described> = triples
        .iris(image, "memoryAddressMap")
        .filter_map(|urn| {
            let start = PhysAddr::new(triples.number(urn, &["memoryOffset"])?);
            let len = PhysLen::new(triples.number(urn, &["memorySize"])?);
            let whole = PhysRange::from_len(start, len).ok()?;
            let all = PhysRange::new(PhysAddr::ZERO, PhysAddr::new(size)).ok()?;
            let kind = triples
                .text(urn, "memoryDescription")
                .map(RegionKind::from_name);
            Some((whole.intersect(all)?, kind))
        })
        .collect();
    described.sort_unstable_by_key(|(range, _)| *range);
    described
}

/// The ranges for which the map has records.
fn mapped(memory: &Mapped) -> Vec<Described> {
    let mut described: Vec<Described> = Vec::new();
    for piece in memory.pieces() {
        let Ok(range) = PhysRange::new(PhysAddr::new(piece.start), PhysAddr::new(piece.end)) else {
            continue;
        };
        if let Some((last, _)) = described.last_mut() {
            if last.end() == range.start() {
                if let Ok(joined) = PhysRange::new(last.start(), range.end()) {
                    *last = joined;
                    continue;
                }
            }
        }
        described.push((range, None));
    }
    described
}

/// Adds `range`, split where its content changes. Zeros count as data, since they were
/// read.
fn with_content(
    memory: &Mapped,
    range: PhysRange,
    kind: Option<RegionKind>,
    ranges: &mut Vec<StoredRange>,
) {
    let first = memory
        .pieces()
        .partition_point(|piece| piece.end <= range.start().get());
    let mut next = range.start();
    let mut push = |start: PhysAddr, end: PhysAddr, content: Content| {
        let Ok(part) = PhysRange::new(start, end) else {
            return;
        };
        if let Some(last) = ranges.last_mut() {
            let continues = last.range.end() == start && last.range.start() >= range.start();
            if continues && last.content == content {
                if let Ok(joined) = PhysRange::new(last.range.start(), end) {
                    last.range = joined;
                    return;
                }
            }
        }
        ranges.push(StoredRange {
            range: part,
            kind,
            content,
            offset: None,
        });
    };
    let gap = content_of(memory.gap());
    for piece in memory.pieces().iter().skip(first) {
        if piece.start >= range.end().get() {
            break;
        }
        let start = PhysAddr::new(piece.start).max(range.start());
        let end = PhysAddr::new(piece.end).min(range.end());
        push(next, start, gap);
        push(start, end, memory.target(piece).map_or(gap, content_of));
        next = end;
    }
    push(next, range.end(), gap);
}

fn content_of(source: &Source) -> Content {
    match source {
        Source::Symbolic(Symbolic::Unreadable) => Content::Unreadable { errno: Errno::EIO },
        Source::Symbolic(Symbolic::Unknown) => Content::Skipped {
            reason: SkipReason::NotRequested,
        },
        _ => Content::Data,
    }
}
