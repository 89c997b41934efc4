// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast memory is read and hashed, and how fast a disk takes it, for about a second.

use crate::clock::Moment;
use crate::embedded_manifest::EmbeddedManifest;
use crate::hash::Backend;
use crate::host::this_machine;
use crate::meter::Meter;
use crate::pipeline::{Acquisition, CHUNK_BYTES, End, run};
use crate::plan::HashSpec;
use crate::rate::{self, Rate};
use crate::sink::Sink;
use crate::source::Source;
use crate::stop::Stop;
use crate::timeout::TimeoutReader;
use linpmem_formats::{Codec, ImagePlan, elf};
use linpmem_manifest::{Header, ImageRecord, ManifestWriter, Tool, Version};
use linpmem_phys::num::{len_bytes, usize_as_u64};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one request may take, as in an acquisition.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that are written to measure a disk, at most: a slow one is not kept busy for long.
const MOST_WRITTEN: u64 = 256 << 20;

/// How memory was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredRead {
    /// How fast.
    pub rate: Rate,
    /// Pages of it that could not be read.
    pub unreadable_pages: u64,
}

/// Takes everything, and keeps nothing.
struct Discard {
    position: u64,
}

impl Sink for Discard {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += len_bytes(bytes);
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.position = self.position.saturating_add(len);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Acquires memory as `plan` says for as long as `during`, with all that an acquisition does to
/// an ELF core, and lets go of it.
///
/// # Errors
/// If the source fails; the reason in words.
pub(super) fn reading(
    source: &Source,
    plan: &ImagePlan,
    during: Duration,
) -> Result<MeasuredRead, String> {
    let words = |error: io::Error| error.to_string();
    let mut writer = elf::Writer::new(plan).map_err(|error| error.to_string())?;
    let mut manifest = ManifestWriter::new(io::sink(), &header(source)).map_err(words)?;
    let reader = TimeoutReader::new(Arc::clone(&source.reader), PAGE_TIMEOUT);
    let begun = Instant::now();
    let outcome = run(
        Acquisition {
            source: &reader,
            plan,
            codec: Codec::None,
            hashes: &HashSpec::default(),
            workers: None,
            backend: Backend::best(),
            bytes_per_s: None,
            started: Moment::now(),
            stop: &Stop::default().with_timeout(during),
            meter: &Meter::default(),
        },
        &mut writer,
        &mut Discard { position: 0 },
        &mut manifest,
        &EmbeddedManifest::default(),
        &mut (),
    );
    let elapsed = begun.elapsed();
    match outcome.end {
        End::Failed(error) => Err(error.to_string()),
        End::Whole | End::Interrupted(_) => Ok(MeasuredRead {
            rate: Rate {
                bytes: outcome.read_bytes,
                elapsed,
            },
            unreadable_pages: outcome.unreadable_pages,
        }),
    }
}

/// The header of a manifest that nobody reads.
fn header(source: &Source) -> Header {
    Header {
        manifest_version: Version,
        tool: Tool {
            name: String::new(),
            version: String::new(),
            sha256: None,
        },
        command: Vec::new(),
        host: this_machine(),
        custody: None,
        source: source.record.clone(),
        started: Moment::now().stamp(),
        machine: source.machine_record.clone(),
        iomem: None,
        frozen: Vec::new(),
        read_first: None,
        map: Vec::new(),
        artifacts: None,
        artifacts_file: None,
        image: ImageRecord {
            name: "-".to_owned(),
            id: None,
            format: "elf".to_owned(),
            raw_layout: None,
            compression: Codec::None.to_string(),
            chunk_bytes: usize_as_u64(CHUNK_BYTES),
            planned_bytes: 0,
        },
    }
}

/// How fast the disk of `folder` takes random bytes for as long as `during`, of which it gets no more
/// than a quarter of what is `free`.
///
/// # Errors
/// The system's.
pub(super) fn writing(folder: &Path, free: Option<u64>, during: Duration) -> io::Result<Rate> {
    let most = free.map_or(MOST_WRITTEN, |free| (free / 4).min(MOST_WRITTEN));
    let mut piece = vec![0; CHUNK_BYTES];
    // A disk that compresses must not look faster than it is.
    File::open("/dev/urandom")?.read_exact(&mut piece)?;
    rate::of_disk(folder, &piece, most, during)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_measured_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let rate = writing(folder.path(), Some(8 << 20), Duration::from_secs(5)).unwrap();
        // A quarter of what is free, and no more.
        assert_eq!(rate.bytes, 2 << 20);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let missing = folder.path().join("missing");
        writing(&missing, None, Duration::ZERO).unwrap_err();
    }
}
