// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left of an image, together with what the manifest of its run says: which ranges
//! were planned, of which kinds, and which pages could not be read. The manifest of an
//! interrupted run ends early itself.

use super::image_with_manifest::unread_parts;
use super::missing_ranges::{with_missing, with_reasons};
use super::planned::{is_of, planned};
use linpmem_formats::{Format, ImageReader, MachineFacts, StoredRange, Truncation};
use linpmem_manifest::Beginning;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use linpmem_phys::{
    Content, Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, SourceError, Unreadable,
    Unreadables,
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

/// `image`, with what the manifest that begins like this knows of it, if it is of the image
/// and knows more.
pub(super) fn completed(
    image: Box<dyn ImageReader>,
    beginning: &Beginning,
) -> Box<dyn ImageReader> {
    let is_listed =
        |range: &linpmem_manifest::BegunRange| range.listed_end == range.addresses.end();
    let planned = planned(beginning);
    let lost = Content::Unreadable {
        errno: Truncation::ERRNO,
    };
    // A file of records that was cut between two of them looks whole.
    let lacks_none = || {
        let all = with_missing(image.ranges(), &planned);
        all.iter().all(|stored| stored.content != lost)
    };
    let is_whole = image.truncation().is_none()
        && beginning.ranges.iter().all(is_listed)
        && planned.len() == beginning.ranges.len()
        && lacks_none();
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
