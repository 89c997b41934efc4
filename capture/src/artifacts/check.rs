// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an image's artifacts still match its manifest.

use super::image::{artifacts_file, beside};
use crate::Reading;
use crate::hash::sha256_of_reader;
use crate::section::Section;
use crate::stop::Stop;
use linpmem_formats::{elf, open_content_within};
use linpmem_manifest::paths::artifacts_of;
use linpmem_manifest::{ArtifactsPlace, ArtifactsRecord, Sha256Sum};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the artifacts of an image compare with its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactsVerdict {
    /// The hashes of the AFF4 volume cover them.
    InVolume,
    /// They match the manifest.
    Good {
        /// The file that contains them.
        path: PathBuf,
        /// Their length.
        bytes: u64,
    },
    /// They do not match the manifest.
    Bad {
        /// The file that should contain them.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Compares the artifacts of the image at `image` with `record`.
#[must_use]
pub fn check(image: &Path, record: &ArtifactsRecord, reading: &Reading) -> ArtifactsVerdict {
    let (path, found) = match record.place {
        ArtifactsPlace::Members => return ArtifactsVerdict::InVolume,
        ArtifactsPlace::Note | ArtifactsPlace::Tail => {
            (image.to_path_buf(), in_note(image, reading))
        }
        ArtifactsPlace::File => match artifacts_file(image, reading) {
            Some(path) => (path.clone(), whole(&path, reading)),
            None => {
                let named = record.file.as_ref();
                let path = named.map_or_else(|| artifacts_of(image), |name| beside(image, name));
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
            format!("the artifacts differ: SHA-256 is {sum}, was {expected}")
        }
        (Ok((bytes, _)), ..) => return ArtifactsVerdict::Good { path, bytes },
    };
    ArtifactsVerdict::Bad { path, reason }
}

fn in_note(image: &Path, reading: &Reading) -> io::Result<(u64, Sha256Sum)> {
    let bytes = open_content_within(reading.content(image)?, &reading.budget)
        .map_err(io::Error::other)?
        .bytes;
    let elf = elf::Reader::new(Arc::clone(&bytes)).map_err(io::Error::other)?;
    let (offset, len) = elf.artifacts().ok_or(io::ErrorKind::NotFound)?;
    Ok((len, sha256(Section::new(bytes, offset, len)?)?))
}

fn whole(path: &Path, reading: &Reading) -> io::Result<(u64, Sha256Sum)> {
    let file = reading.content(path)?;
    let len = file.len();
    Ok((len, sha256(Section::whole(file))?))
}

fn sha256(bytes: Section) -> io::Result<Sha256Sum> {
    sha256_of_reader(bytes, &Stop::default())
}
