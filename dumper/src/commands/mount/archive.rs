// SPDX-License-Identifier: MIT OR Apache-2.0
//! The artifacts of an image, read for as long as it is mounted.

use crate::args::ReadingArgs;
use linpmem_capture::artifacts::Artifacts;
use linpmem_mount::ReadArtifact;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::io::{self, Read};
use std::path::PathBuf;

/// Where they are. They are opened for each piece: what unpacking may cost is limited for each time
/// that they are open, and nothing of them is kept.
pub(super) struct ArtifactArchive {
    image: PathBuf,
    reading: ReadingArgs,
}

impl ArtifactArchive {
    pub(super) const fn new(image: PathBuf, reading: ReadingArgs) -> Self {
        Self { image, reading }
    }
}

impl ReadArtifact for ArtifactArchive {
    fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let artifacts = Artifacts::read(&self.image, &self.reading.reading());
        let artifacts = artifacts.map_err(io::Error::other)?;
        let artifacts = artifacts.ok_or(io::ErrorKind::NotFound)?;
        // A swap area has gigabytes that need not be unpacked for one of its pages.
        if let Some(file) = artifacts.at(name).map_err(io::Error::other)? {
            let left = file.len().saturating_sub(at);
            let mut bytes = vec![0; len.min(u64_as_usize(left))];
            file.read_exact_at(at, &mut bytes)?;
            return Ok(bytes);
        }
        let mut file = artifacts.open(name).map_err(io::Error::other)?;
        let skipped = io::copy(&mut file.by_ref().take(at), &mut io::sink())?;
        let mut bytes = Vec::new();
        if skipped == at {
            file.take(usize_as_u64(len)).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
}
