// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which addresses an image says what of.

use super::mapped::{Mapped, Source};
use super::symbolic::Symbolic;
use super::turtle::Graph;
use crate::{ReadAt, StoredRange};
use linpmem_phys::{Content, Errno, PhysAddr, PhysLen, PhysRange, RegionKind, SkipReason};

const KINDS: [RegionKind; 10] = [
    RegionKind::SystemRam,
    RegionKind::Reserved,
    RegionKind::AcpiTables,
    RegionKind::AcpiNonVolatile,
    RegionKind::SoftReserved,
    RegionKind::PersistentMemory,
    RegionKind::Unusable,
    RegionKind::Rom,
    RegionKind::Device,
    RegionKind::Hole,
];

/// A range of memory that the image describes, or that its map has.
type Described = (PhysRange, Option<RegionKind>);

/// The ranges of `image`: those that it says are memory, or, if it says nothing,
/// those that its map has.
pub(super) fn ranges(
    graph: &Graph,
    image: &str,
    memory: &Mapped,
    warnings: &mut Vec<String>,
) -> Vec<StoredRange> {
    let mut described = described(graph, image, memory.len());
    if described.is_empty() {
        described = mapped(memory);
    }
    let mut ranges = Vec::with_capacity(described.len());
    let mut next = PhysAddr::ZERO;
    for (range, kind) in described {
        let (_, rest) = range.split_at(next);
        if rest != Some(range) {
            warnings.push(format!("{range} is described twice"));
        }
        if let Some(range) = rest {
            next = range.end();
            with_content(memory, range, kind, &mut ranges);
        }
    }
    ranges
}

/// What the PhysicalMemoryMap objects of `image` say, sorted.
fn described(graph: &Graph, image: &str, size: u64) -> Vec<Described> {
    let mut described: Vec<Described> = graph
        .iris(image, "memoryAddressMap")
        .filter_map(|urn| {
            let start = PhysAddr::new(graph.number(urn, &["memoryOffset"])?);
            let len = PhysLen::new(graph.number(urn, &["memorySize"])?);
            let whole = PhysRange::from_len(start, len).ok()?;
            let all = PhysRange::new(PhysAddr::ZERO, PhysAddr::new(size)).ok()?;
            let kind = graph.text(urn, "memoryDescription").map(kind_of);
            Some((whole.intersect(all)?, kind))
        })
        .collect();
    described.sort_unstable_by_key(|(range, _)| *range);
    described
}

fn kind_of(name: &str) -> RegionKind {
    KINDS
        .into_iter()
        .find(|kind| kind.name() == name)
        .unwrap_or_else(|| RegionKind::from_iomem_name(name))
}

/// The addresses that the map has an entry for.
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

/// Adds `range`, cut where its content changes. What is zero was read, so it is
/// data like all else.
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
    for piece in memory.pieces().get(first..).unwrap_or_default() {
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
