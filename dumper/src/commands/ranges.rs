// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ranges`: which memory would be read, and which not.

use crate::args::{RangesArgs, SelectionArgs, UsageError};
use crate::text::ranges::{MapRange, RangesDocument};
use linpmem_capture::selection::{NothingSelected, Part};
use linpmem_capture::source::{Iomem, IomemError, Source, SourceError, SourceSpec};
use linpmem_cli::Stderr;
use linpmem_manifest::SourceRecord;
use linpmem_phys::MemoryMap;

/// The map cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RangesError {
    /// The options contradict each other.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// /proc/iomem cannot be read.
    #[error(transparent)]
    Iomem(#[from] IomemError),
    /// The source that was named does not open.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The options select no memory.
    #[error(transparent)]
    Nothing(#[from] NothingSelected),
}

/// Shows what an acquisition with the options of `args` would read, and on `stderr` what is
/// odd about its source.
///
/// # Errors
/// If there is no map, or the options select nothing of it.
pub fn ranges(args: &RangesArgs, stderr: Stderr) -> Result<RangesDocument, RangesError> {
    let Memory {
        map,
        source,
        warnings,
    } = Memory::of(&args.selection)?;
    for warning in warnings {
        stderr.warn(&warning);
    }
    let selected = args.selection.selection().apply(&map)?;
    let serving = |part: &Part| {
        let served = source.as_ref().ok()?.serving(part.kind.name())?;
        // What is never read has no source.
        part.is_read.then(|| served.to_owned())
    };
    let ranges = selected.parts().into_iter().map(|part| MapRange {
        start: part.range.start().into(),
        last: part.range.last().into(),
        size_bytes: part.range.len().get(),
        kind: part.kind.name(),
        read: part.is_read,
        source: serving(&part),
    });
    let ranges = ranges.collect();
    Ok(RangesDocument::new(
        ranges,
        source.err().map(|error| error.to_string()),
    ))
}

/// The memory there is, and where it would be read from.
struct Memory {
    map: MemoryMap,
    source: Result<SourceRecord, SourceError>,
    warnings: Vec<String>,
}

impl Memory {
    /// The running kernel has a map even if no source opens; it is not that of an image, or
    /// of a kernel that crashed.
    fn of(args: &SelectionArgs) -> Result<Self, RangesError> {
        match Source::read(&args.source, &args.reading()?) {
            Ok(source) => Ok(Self {
                map: source.map,
                source: Ok(source.record),
                warnings: source.warnings,
            }),
            Err(error) if matches!(args.source, SourceSpec::Image(_) | SourceSpec::Vmcore) => {
                Err(error.into())
            }
            Err(error @ SourceError::OnlyCrashed(_)) => Err(error.into()),
            Err(error) => {
                let iomem = Iomem::read()?;
                Ok(Self {
                    map: iomem.map,
                    source: Err(error),
                    warnings: iomem.warnings,
                })
            }
        }
    }
}
