// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 images, which may be spread over several volumes.

use crate::Reading;
use linpmem_formats::{DETECT_BYTES, Detected, Format, ReadAt, aff4, detect};
use linpmem_phys::num::usize_as_u64;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The AFF4 image at `path`, with further `volumes` if it is striped; `None` if
/// it is something else.
///
/// # Errors
/// If it is an AFF4 image and cannot be read.
pub fn open_aff4(path: &Path, volumes: &[PathBuf]) -> Result<Option<aff4::Reader>, aff4::Error> {
    let reading = Reading {
        volumes: volumes.to_vec(),
        ..Reading::default()
    };
    read_aff4(path, &reading)
}

/// As [`open_aff4`], as `reading` says.
///
/// # Errors
/// If it is an AFF4 image and cannot be read.
pub fn read_aff4(path: &Path, reading: &Reading) -> Result<Option<aff4::Reader>, aff4::Error> {
    let file = reading.content(path)?;
    let mut head = [0; DETECT_BYTES];
    if file.len() < usize_as_u64(DETECT_BYTES) {
        return Ok(None);
    }
    file.read_exact_at(0, &mut head)?;
    if detect(&head) != Some(Detected::Image(Format::Aff4)) {
        return Ok(None);
    }
    let mut sources: Vec<Arc<dyn ReadAt>> = vec![file];
    for volume in &reading.volumes {
        let file = reading.content(volume).map_err(|error| {
            let message = format!("the volume {}: {error}", volume.display());
            io::Error::new(error.kind(), message)
        })?;
        sources.push(file);
    }
    aff4::Reader::open_within(sources, &reading.budget).map(Some)
}
