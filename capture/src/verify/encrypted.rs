// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be checked of an encrypted image without a key: whether its files are those that
//! were written.

use crate::artifacts::artifact_beside;
use crate::hash::Hasher;
use crate::meter::Meter;
use linpmem_formats::{FileSource, ReadAt};
use linpmem_manifest::paths::{encryption_of, manifest_beside};
use linpmem_manifest::{EncryptedFileRecord, EncryptionRecord, Sha256Sum};
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes that are read at a time.
const STEP_BYTES: usize = 1 << 20;

/// An encrypted image, ready to be compared with its sums.
#[derive(Debug)]
pub struct EncryptedFiles {
    /// Where the sums are.
    pub path: PathBuf,
    /// The sums.
    pub record: EncryptionRecord,
    files: Vec<(PathBuf, EncryptedFileRecord)>,
}

/// An encrypted file and its sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedFileCheck {
    /// The file.
    pub path: PathBuf,
    /// Its length, if it is the one that was written; else what is wrong with it.
    pub verdict: Result<u64, String>,
}

/// The sums of an encrypted image cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "this is encrypted, and what tells its sums cannot be used: {path}: {source}. With its private \
     key, --identity, it can be compared with its manifest"
)]
pub struct NoSums {
    /// Where they should be.
    pub path: PathBuf,
    /// The reason.
    pub source: io::Error,
}

impl EncryptedFiles {
    /// The files of the encrypted image at `image`, whose manifest is at `manifest` if that is not
    /// next to it.
    ///
    /// # Errors
    /// If there are no sums.
    pub fn of(image: &Path, manifest: Option<&Path>) -> Result<Self, NoSums> {
        let mut path = encryption_of(image);
        if let Some(manifest) = manifest.filter(|_| !path.exists()) {
            path = encryption_of(manifest);
        }
        let record = match EncryptionRecord::read(&path) {
            Ok(record) => record,
            Err(source) => return Err(NoSums { path, source }),
        };
        let manifest = manifest.map_or_else(|| manifest_beside(image), Path::to_path_buf);
        let artifacts = record.artifacts.as_ref().and_then(|file| {
            let name = file.name.as_deref()?;
            Some((artifact_beside(image, name)?, file.clone()))
        });
        let mut files = vec![
            (image.to_path_buf(), record.image.clone()),
            (manifest, record.manifest.clone()),
        ];
        files.extend(artifacts);
        Ok(Self {
            path,
            record,
            files,
        })
    }

    /// Bytes of all files, as far as they were counted.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let lengths = self.files.iter().filter_map(|(_, file)| file.length);
        lengths.fold(0, u64::saturating_add)
    }

    /// Compares each file with its sum. `meter` counts the bytes.
    #[must_use]
    pub fn compare(&self, meter: &Meter) -> Vec<EncryptedFileCheck> {
        let check = |(path, file): &(PathBuf, EncryptedFileRecord)| EncryptedFileCheck {
            path: path.clone(),
            verdict: compare(path, file, meter),
        };
        self.files.iter().map(check).collect()
    }
}

fn compare(path: &Path, file: &EncryptedFileRecord, meter: &Meter) -> Result<u64, String> {
    let (Some(length), Some(sha256)) = (file.length, file.sha256) else {
        return Err("it has no sum, because a write failed".to_owned());
    };
    let found = FileSource::open(path).map_err(|error| error.to_string())?;
    if found.len() != length {
        return Err(format!("it has {} bytes, not {length}", found.len()));
    }
    let sum = sum(&found, meter).map_err(|error| error.to_string())?;
    match sum == sha256 {
        true => Ok(length),
        false => Err(format!("it differs: SHA-256 is {sum}, was {sha256}")),
    }
}

fn sum(file: &FileSource, meter: &Meter) -> io::Result<Sha256Sum> {
    let mut hasher = Hasher::sha256();
    let mut buffer = vec![0; STEP_BYTES];
    let mut position = 0;
    while position < file.len() {
        let step = (file.len() - position).min(len_bytes(&buffer));
        let bytes = buffer.get_mut(..u64_as_usize(step)).unwrap_or_default();
        file.read_exact_at(position, bytes)?;
        hasher.update(bytes);
        meter.add_written(step, 0);
        position += step;
    }
    Sha256Sum::try_from(hasher.finish().as_slice()).map_err(io::Error::other)
}
