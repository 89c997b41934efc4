// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading memory again, to record which pages changed during the acquisition (smear).
//!
//! The image is on the disk by now and is compared from there, so that this takes no
//! memory. Nothing of what is read goes into the image.

use crate::clock::Moment;
use crate::compare::{CompareError, Event, Finding, compare_pages};
use crate::image_format::ImageFormat;
use crate::meter::Meter;
use crate::pipeline::{Acquisition, Pace};
use crate::reader::ReadPages;
use crate::stop::{Stop, StopReason};
use linpmem_formats::{ImageReader, OpenError, open_bytes, open_reader, raw};
use linpmem_manifest::{ManifestWriter, SecondPassTotals, Tally};
use linpmem_phys::num::len_bytes;
use linpmem_phys::{PageBuffer, PhysAddr, PhysRange, SourceError, Unreadables};
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A second pass that ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecondPassError {
    /// The image that was just written does not open.
    #[error("opening the image again: {0}")]
    Open(#[from] OpenError),
    /// It cannot be opened at all.
    #[error("opening the image again: {0}")]
    Io(#[from] io::Error),
    /// It cannot be opened as a raw image.
    #[error("opening the image again: {0}")]
    Raw(#[from] raw::Error),
    /// The comparison ended early.
    #[error(transparent)]
    Compare(#[from] CompareError),
}

/// Compares the image at `path`, of `format`, with the memory that `acquisition` read
/// it from, and records in `manifest` what has changed since.
///
/// # Errors
/// If the manifest cannot be written. Whatever else goes wrong is part of the result.
pub fn second_pass<W: Write>(
    acquisition: &Acquisition<'_>,
    path: &Path,
    format: ImageFormat,
    manifest: &mut ManifestWriter<W>,
) -> io::Result<SecondPassTotals> {
    let mut record = manifest.begin_second_pass(&Moment::now().stamp())?;
    let live = Again {
        source: acquisition.source,
        stop: acquisition.stop,
        meter: acquisition.meter,
        pace: Mutex::new(acquisition.bytes_per_s.map(Pace::new)),
    };
    let ranges: Vec<PhysRange> = acquisition
        .plan
        .ranges()
        .iter()
        .map(|planned| planned.range)
        .collect();
    let mut total = Tally::default();
    acquisition.meter.begin_second_pass();
    let compared = reopened(acquisition, path, format).and_then(|image| {
        let mut tell = |event| match event {
            Event::Stretch(stretch) if stretch.finding == Finding::Different => {
                record.changed(stretch.range, stretch.bytes)
            }
            Event::Stretch(_) => Ok(()),
            Event::Range(range, tally) => {
                total.add(tally);
                record.range(range, tally)
            }
        };
        let stored = Stored {
            image: &*image,
            file: File::open(path)?,
        };
        Ok(compare_pages([&stored, &live], &ranges, &mut tell)?)
    });
    let error = match compared {
        Ok(()) => None,
        // The manifest failed, and cannot be written any more.
        Err(SecondPassError::Compare(CompareError::Report(error))) => return Err(error),
        Err(error) => Some(match acquisition.stop.reason() {
            Some(reason) => reason.to_string(),
            None => error.to_string(),
        }),
    };
    record.finish(total, error, Moment::now().stamp())
}

fn reopened(
    acquisition: &Acquisition<'_>,
    path: &Path,
    format: ImageFormat,
) -> Result<Box<dyn ImageReader>, SecondPassError> {
    let bytes = open_bytes(path)?.bytes;
    Ok(match format {
        ImageFormat::Raw(layout) => {
            Box::new(raw::Reader::new(bytes, acquisition.plan.ranges(), layout)?)
        }
        _ => open_reader(bytes)?,
    })
}

/// An image as memory. What is read from the file leaves the page cache at once: it would
/// replace memory that is yet to be compared.
struct Stored<'a> {
    image: &'a dyn ImageReader,
    file: File,
}

impl ReadPages for Stored<'_> {
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let read = self.image.read_phys(start, buffer, unreadable);
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        read
    }
}

/// The memory, read again under the same conditions.
struct Again<'a> {
    source: &'a dyn ReadPages,
    stop: &'a Stop,
    meter: &'a Meter,
    pace: Mutex<Option<Pace>>,
}

impl ReadPages for Again<'_> {
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        if self.stop.is_raised() {
            let reason = self.stop.reason().unwrap_or(StopReason::Asked);
            return Err(SourceError::new(start, reason.to_string()));
        }
        self.source.read_pages(start, buffer, unreadable)?;
        self.meter.add_compared(len_bytes(buffer));
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = &mut *pace {
            pace.wait(len_bytes(buffer), self.stop);
        }
        Ok(())
    }
}
