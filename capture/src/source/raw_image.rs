// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw images: where their bytes belong, the manifest says, or the user.

use super::ImageSourceError;
use super::interrupted::completed;
use super::planned::planned;
use super::range_list::{RangeList, RangeListError};
use crate::{RawInput, Reading};
use linpmem_formats::{
    Format, ImageReader, MachineFacts, PlannedRange, ReadAt, StoredRange, Truncation, raw,
};
use linpmem_manifest::Beginning;
use linpmem_manifest::paths::{decrypted_of, final_of, manifest_beside};
use linpmem_phys::{PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Endings of padded images, which linpmem-dump gives to its own.
const PADDED: [&[u8]; 4] = [b".padded", b".padded.zst", b".padded.lz4", b".padded.sz"];

/// What the user says of a raw image cannot be true.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatedError {
    /// The file lists no ranges.
    #[error(transparent)]
    List(#[from] RangeListError),
    /// They do not match the image.
    #[error("opening it as a raw image with the ranges of {ranges}: {source}{hint}")]
    Mismatch {
        /// The file with the ranges.
        ranges: PathBuf,
        /// Why they do not match.
        source: raw::Error,
        /// What may help.
        hint: &'static str,
    },
}

/// A raw image, and what the user should know of it.
struct Remarked {
    image: raw::Reader<Arc<dyn ReadAt>>,
    warnings: Vec<String>,
}

/// The beginning of an image.
struct Head {
    bytes: Arc<dyn ReadAt>,
    len: u64,
}

/// Opens the image at `path`, whose `bytes` have no magic number.
///
/// # Errors
/// If nothing says where they belong, or what does cannot be true.
pub(super) fn open(
    path: &Path,
    known: Option<Beginning>,
    bytes: Arc<dyn ReadAt>,
    reading: &Reading,
) -> Result<Box<dyn ImageReader>, ImageSourceError> {
    // What the user says counts more than a manifest that happens to be there.
    if let Some(input) = &reading.raw {
        return Ok(Box::new(as_stated(input, bytes)?));
    }
    let beside = manifest_beside(path);
    let beginning = match known {
        Some(beginning) => Some(beginning),
        None if beside.exists() => Some(reading.beginning(&beside)?),
        None => None,
    };
    let is_raw = |beginning: &Beginning| beginning.header.image.format == "raw";
    if let Some(beginning) = beginning.filter(is_raw) {
        let layout = raw_layout(beginning.header.image.raw_layout.as_deref());
        let planned = planned(&beginning).into_iter().map(|planned| PlannedRange {
            range: planned.range,
            kind: planned.kind,
        });
        let ranges: Vec<PlannedRange> = planned.collect();
        let image = Box::new(raw::Reader::new(bytes, &ranges, layout)?);
        return Ok(completed(image, &beginning));
    }
    let named = final_of(path).unwrap_or_else(|| path.to_path_buf());
    let named = decrypted_of(&named);
    let name = named.file_name().unwrap_or_default().as_encoded_bytes();
    if PADDED.iter().any(|ending| name.ends_with(ending)) {
        return Ok(Box::new(as_stated(&RawInput::Padded(None), bytes)?));
    }
    Err(ImageSourceError::NoAddresses)
}

/// The image that `input` describes.
fn as_stated(input: &RawInput, bytes: Arc<dyn ReadAt>) -> Result<Remarked, ImageSourceError> {
    let Some(path) = input.ranges() else {
        return Ok(Remarked::new(
            raw::Reader::padded(bytes)?,
            vec![
                "no list of ranges says what of this padded image is memory: all of it is shown as \
                 one range from address 0, with zeros where the machine has none (--input-ranges)"
                    .to_owned(),
            ],
        ));
    };
    let RangeList {
        mut ranges,
        mut warnings,
    } = RangeList::read(path).map_err(|error| Box::new(error.into()))?;
    let found = bytes.len();
    let sum = |ranges: &[PlannedRange]| {
        // Each is below 2^64, and a list in memory has fewer than 2^64.
        let lengths = ranges
            .iter()
            .map(|known| u128::from(known.range.len().get()));
        lengths.sum::<u128>()
    };
    let end = ranges.last().map_or(0, |last| last.range.end().get());
    let mut bytes = bytes;
    match input.layout() {
        raw::Layout::Padded => {
            if found > end {
                warnings.push(format!(
                    "{} bytes of the image follow the last range of {}, and are left out",
                    found - end,
                    path.display()
                ));
                bytes = Arc::new(Head { bytes, len: end });
            } else if found < end && u128::from(found) == sum(&ranges) {
                warnings.push(
                    "the image is exactly as long as its ranges one after the other: if it is not \
                     padded, say --input-layout concatenated"
                        .to_owned(),
                );
            }
        }
        raw::Layout::Concatenated => {
            let fits = |ranges: &[PlannedRange]| sum(ranges) == u128::from(found);
            let pages = [PhysRange::page_hull, PhysRange::whole_pages].map(|of| paged(&ranges, of));
            let [hulls, whole] = pages;
            let paged = [hulls, whole].into_iter().find(|ranges| fits(ranges));
            if let Some(paged) = paged.filter(|_| !fits(&ranges)) {
                warnings.push(format!(
                    "the image has the ranges of {} in whole pages",
                    path.display()
                ));
                ranges = paged;
            }
            if sum(&ranges) > u128::from(found) {
                warnings.push(format!(
                    "the ranges of {} need {} bytes, and the image has {found}: if it was not cut \
                     off, they are not its own, and its bytes are shown at wrong addresses",
                    path.display(),
                    sum(&ranges)
                ));
            }
        }
    }
    let image = raw::Reader::new(bytes, &ranges, input.layout()).map_err(|source| {
        let is_padded = input.layout() == raw::Layout::Concatenated && found >= end;
        Box::new(StatedError::Mismatch {
            ranges: path.clone(),
            source,
            hint: match source {
                raw::Error::Length { .. } if is_padded => {
                    "; if offsets in it are addresses, say --input-layout padded"
                }
                raw::Error::Disorder { .. } => "; list them by address, without overlaps",
                _ => "",
            },
        })
    })?;
    Ok(Remarked::new(image, warnings))
}

/// The layout of a raw image.
fn raw_layout(name: Option<&str>) -> raw::Layout {
    match name {
        Some("padded") => raw::Layout::Padded,
        _ => raw::Layout::Concatenated,
    }
}

/// `ranges` as `of` makes pages of them. Those that share a page are one.
fn paged(
    ranges: &[PlannedRange],
    of: impl Fn(PhysRange) -> Option<PhysRange>,
) -> Vec<PlannedRange> {
    let mut paged: Vec<PlannedRange> = Vec::with_capacity(ranges.len());
    for known in ranges {
        let Some(range) = of(known.range) else {
            continue;
        };
        let end = paged.last().map_or(PhysAddr::ZERO, |last| last.range.end());
        // The page that it shares with the one before it is there already.
        paged.extend(range.split_at(end).1.map(|range| PlannedRange {
            range,
            kind: known.kind,
        }));
    }
    paged
}

impl Remarked {
    fn new(image: raw::Reader<Arc<dyn ReadAt>>, remarks: Vec<String>) -> Self {
        let warnings = image.warnings().iter().cloned().chain(remarks);
        Self {
            warnings: warnings.collect(),
            image,
        }
    }
}

impl ReadPhys for Remarked {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.image.read_phys(start, buf, unreadable)
    }

    fn is_known_zero(&self, range: PhysRange) -> bool {
        self.image.is_known_zero(range)
    }
}

impl ImageReader for Remarked {
    fn format(&self) -> Format {
        self.image.format()
    }

    fn ranges(&self) -> &[StoredRange] {
        self.image.ranges()
    }

    fn machine(&self) -> &MachineFacts {
        self.image.machine()
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn truncation(&self) -> Option<Truncation> {
        self.image.truncation()
    }
}

impl ReadAt for Head {
    fn len(&self) -> u64 {
        self.len
    }

    fn stored_bytes(&self) -> u64 {
        self.bytes.stored_bytes().min(self.len)
    }

    fn hole(&self, offset: u64) -> u64 {
        self.bytes.hole(offset).min(self.len.saturating_sub(offset))
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let len = linpmem_phys::num::len_bytes(buf);
        match offset.checked_add(len) {
            Some(end) if end <= self.len => self.bytes.read_exact_at(offset, buf),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
