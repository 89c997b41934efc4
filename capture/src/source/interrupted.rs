// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left of an image, together with what the manifest of its run says: which ranges
//! were planned, of which kinds, and which pages could not be read. The manifest of an
//! interrupted run ends early itself.

use super::image_with_manifest::unread_parts;
use linpmem_formats::{Format, ImageReader, MachineFacts, StoredRange, Truncation, raw};
use linpmem_manifest::Beginning;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use linpmem_phys::{
    Content, Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, RegionKind, SourceError,
    Unreadable, Unreadables,
};

/// An image of a run that did not finish, or a beginning of an image.
struct Interrupted {
    image: Box<dyn ImageReader>,
    ranges: Vec<StoredRange>,
    truncation: Option<Truncation>,
    warnings: Vec<String>,
    /// Pages that are zero because they could not be read, or for which nothing says whether
    /// they were read; by address.
    doubtful: Vec<Unreadable>,
}

/// A range that was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) range: PhysRange,
    pub(super) kind: RegionKind,
}

/// What the run planned to write: the ranges that it began, and then the rest of the map.
pub(super) fn planned(beginning: &Beginning) -> Vec<Planned> {
    let mut planned: Vec<Planned> = beginning
        .ranges
        .iter()
        .map(|range| Planned {
            range: range.addresses,
            kind: range.kind,
        })
        .collect();
    let mut end = planned
        .last()
        .map_or(PhysAddr::ZERO, |last| last.range.end());
    for entry in beginning.header.map.iter().filter(|entry| entry.requested) {
        let (first, last) = (PhysAddr::new(entry.start.0), PhysAddr::new(entry.last.0));
        let whole = PhysRange::from_inclusive(first, last).ok();
        let hull = whole.and_then(PhysRange::page_hull);
        if let Some(range) = hull.and_then(|hull| hull.split_at(end).1) {
            end = range.end();
            planned.push(Planned {
                range,
                kind: RegionKind::from_name(&entry.kind),
            });
        }
    }
    planned
}

/// Whether the manifest that begins like this can be that of `image`.
fn is_of(beginning: &Beginning, image: &dyn ImageReader) -> bool {
    let format = match image.format() {
        Format::Elf => "elf",
        Format::Raw(_) => "raw",
        Format::Lime => "lime",
        Format::Avml => "avml",
        Format::Kdump | Format::Flattened => "kdump",
        Format::Aff4 => "aff4",
        _ => return false,
    };
    if beginning.header.image.format != format {
        return false;
    }
    let planned = planned(beginning);
    let is_planned = |range: PhysRange| {
        let first = planned.partition_point(|known| known.range.end() <= range.start());
        let known = planned.iter().skip(first);
        let mut rest = Some(range);
        for known in known {
            let Some(left) = rest else { break };
            if known.range.start() > left.start() {
                return false;
            }
            rest = left.split_at(known.range.end()).1;
        }
        rest.is_none()
    };
    let held = image.ranges().iter();
    held.filter(|stored| stored.content == Content::Data)
        .all(|stored| is_planned(stored.range))
}

/// `image`, with what the manifest that begins like this knows of it, if it is of the image
/// and knows more.
pub(super) fn completed(
    image: Box<dyn ImageReader>,
    beginning: &Beginning,
) -> Box<dyn ImageReader> {
    let is_listed =
        |range: &linpmem_manifest::BegunRange| range.listed_end == range.addresses.end();
    let is_whole = image.truncation().is_none()
        && beginning.ranges.iter().all(is_listed)
        && planned(beginning).len() == beginning.ranges.len();
    if !is_of(beginning, &*image) || is_whole {
        return image;
    }
    Box::new(Interrupted::new(image, beginning))
}

impl Interrupted {
    /// `image`, completed by the manifest of its run.
    fn new(image: Box<dyn ImageReader>, beginning: &Beginning) -> Self {
        let planned = planned(beginning);
        let doubtful = doubtful(beginning);
        let ranges = with_reasons(with_missing(image.ranges(), &planned), &doubtful);
        let lost = Content::Unreadable {
            errno: Truncation::ERRNO,
        };
        let is_cut = ranges.iter().any(|stored| stored.content == lost);
        let of_image = image.truncation();
        let truncation = (is_cut || of_image.is_some()).then(|| {
            // What the format does not list, the manifest does.
            Truncation::of(&ranges, of_image.map_or(0, |cut| cut.end), false)
        });
        let mut warnings = Vec::new();
        match (truncation, of_image) {
            (Some(cut), Some(_)) => warnings.push(cut.to_string()),
            (Some(cut), None) => warnings.push(format!(
                "the image ends before the ranges that its manifest lists: {} of memory is \
                 missing, from {} on",
                cut.missing,
                cut.first.unwrap_or(PhysAddr::ZERO)
            )),
            (None, _) => {}
        }
        let told = of_image.map(|cut| cut.to_string());
        let others = image.warnings().iter();
        warnings.extend(
            others
                .filter(|warning| Some(*warning) != told.as_ref())
                .cloned(),
        );
        if beginning.is_truncated {
            warnings.push(
                "its manifest ends early: the run that wrote the image did not finish".to_owned(),
            );
        }
        let marks_itself = matches!(
            image.format(),
            Format::Aff4 | Format::Kdump | Format::Flattened
        );
        Self {
            doubtful: match marks_itself {
                true => Vec::new(),
                false => doubtful,
            },
            image,
            ranges,
            truncation,
            warnings,
        }
    }

    /// Why `range` is not in the image, if the manifest or the image's end tell.
    fn reason_of(&self, range: PhysRange) -> Option<Errno> {
        let first = self
            .ranges
            .partition_point(|stored| stored.range.end() <= range.start());
        match self.ranges.get(first)?.content {
            Content::Unreadable { errno } => Some(errno),
            _ => None,
        }
    }
}

/// What could not be read, and what the manifest says nothing of.
fn doubtful(beginning: &Beginning) -> Vec<Unreadable> {
    let mut doubtful = Vec::new();
    for range in &beginning.ranges {
        let (_, unlisted) = range.addresses.split_at(range.listed_end);
        let known = range
            .unreadable
            .iter()
            .filter(|item| unlisted.is_none_or(|unlisted| item.range.end() <= unlisted.start()));
        doubtful.extend(known.copied());
        doubtful.extend(unlisted.map(|range| Unreadable {
            range,
            errno: Truncation::ERRNO,
        }));
    }
    // The disk may have more of the image than of the manifest.
    let later = planned(beginning).into_iter().skip(beginning.ranges.len());
    doubtful.extend(later.map(|planned| Unreadable {
        range: planned.range,
        errno: Truncation::ERRNO,
    }));
    doubtful
}

/// Gives pages that the image left out the reason that the manifest has for them.
fn with_reasons(stored: Vec<StoredRange>, unreadable: &[Unreadable]) -> Vec<StoredRange> {
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
fn with_missing(stored: &[StoredRange], planned: &[Planned]) -> Vec<StoredRange> {
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

impl ReadPhys for Interrupted {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let mut told = Unreadables::new();
        self.image.read_phys(start, buf, &mut told)?;
        let mut at = start;
        let mut told = told.as_slice().iter().peekable();
        for part in buf.chunks(u64_as_usize(PAGE_SIZE.get())) {
            let Ok(range) = PhysRange::from_len(at, PhysLen::new(len_bytes(part))) else {
                break;
            };
            at = range.end();
            let parts = unread_parts(&self.doubtful, range, part);
            for item in &parts {
                unreadable.push(item.range, item.errno);
            }
            if !parts.is_empty() {
                continue;
            }
            while told
                .peek()
                .is_some_and(|item| item.range.end() <= range.start())
            {
                told.next();
            }
            for item in told.clone() {
                let Some(lost) = item.range.intersect(range) else {
                    break;
                };
                let errno = match item.errno {
                    Errno::ENXIO => self.reason_of(lost).unwrap_or(Errno::ENXIO),
                    errno => errno,
                };
                unreadable.push(lost, errno);
            }
        }
        Ok(())
    }
}

impl ImageReader for Interrupted {
    fn format(&self) -> Format {
        self.image.format()
    }

    fn ranges(&self) -> &[StoredRange] {
        &self.ranges
    }

    fn machine(&self) -> &MachineFacts {
        self.image.machine()
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn truncation(&self) -> Option<Truncation> {
        self.truncation
    }
}

/// The layout of a raw image.
pub(super) fn raw_layout(name: Option<&str>) -> raw::Layout {
    match name {
        Some("padded") => raw::Layout::Padded,
        _ => raw::Layout::Concatenated,
    }
}
