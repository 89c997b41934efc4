// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an image's artifacts are still what its manifest says.

use super::archive::Section;
use super::beside;
use crate::hash::sha256_of;
use linpmem_formats::{FileSource, ReadAt, elf, open_bytes};
use linpmem_manifest::Sha256Sum;
use linpmem_manifest::{ArtifactsPlace, ArtifactsRecord};
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are hashed at a time.
const STEP_BYTES: usize = 256 << 10;

/// How the artifacts of an image compare with its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactsVerdict {
    /// They are hashed with everything else in the AFF4 volume.
    InVolume,
    /// They are what they were.
    Good {
        /// The file they lie in.
        path: PathBuf,
        /// Their length.
        bytes: u64,
    },
    /// They are not what they were.
    Bad {
        /// The file they lie in, or should.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Compares the artifacts of the image at `image` with `record`.
#[must_use]
pub fn check(image: &Path, record: &ArtifactsRecord) -> ArtifactsVerdict {
    let (path, found) = match record.place {
        ArtifactsPlace::Members => return ArtifactsVerdict::InVolume,
        ArtifactsPlace::Note => (image.to_path_buf(), in_note(image)),
        ArtifactsPlace::File => match beside(image) {
            Some(path) => (path.clone(), whole(&path)),
            None => {
                let own = record.file.clone().unwrap_or_default();
                let path = image.with_file_name(own);
                (path, Err(io::ErrorKind::NotFound.into()))
            }
        },
    };
    let reason = match (found, record.length, record.sha256) {
        (Err(error), ..) if error.kind() == io::ErrorKind::NotFound => {
            "the artifacts are missing".to_owned()
        }
        (Err(error), ..) => format!("the artifacts cannot be read: {error}"),
        (Ok((length, _)), Some(expected), _) if length != expected => {
            format!("the artifacts have {length} bytes, not {expected}")
        }
        (Ok((_, sum)), _, Some(expected)) if sum != expected => {
            format!("the artifacts differ: SHA-256 {sum}, was {expected}")
        }
        (Ok((bytes, _)), ..) => return ArtifactsVerdict::Good { path, bytes },
    };
    ArtifactsVerdict::Bad { path, reason }
}

fn in_note(image: &Path) -> io::Result<(u64, Sha256Sum)> {
    let bytes = open_bytes(image).map_err(io::Error::other)?.bytes;
    let elf = elf::Reader::new(Arc::clone(&bytes)).map_err(io::Error::other)?;
    let (offset, len) = elf.artifacts().ok_or(io::ErrorKind::NotFound)?;
    Ok((len, sum(Section::new(bytes, offset, len))?))
}

fn whole(path: &Path) -> io::Result<(u64, Sha256Sum)> {
    let file = FileSource::open(path)?;
    let len = file.len();
    Ok((len, sum(Section::whole(Arc::new(file)))?))
}

fn sum(mut bytes: impl Read) -> io::Result<Sha256Sum> {
    let mut hasher = Sha256::new();
    let mut step = vec![0; STEP_BYTES];
    loop {
        match bytes.read(&mut step)? {
            0 => return Ok(sha256_of(hasher)),
            size => hasher.update(step.get(..size).unwrap_or_default()),
        }
    }
}
