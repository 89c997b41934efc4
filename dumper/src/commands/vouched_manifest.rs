// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest that something is to vouch for.

use linpmem_capture::is_encrypted;
use linpmem_custody::digest::sha256_of_file;
#[cfg(feature = "sign")]
use linpmem_manifest::ImageId;
use linpmem_manifest::paths::{encryption_of, manifest_beside};
use linpmem_manifest::{EncryptionRecord, Header, Manifest, ReadError};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A manifest that nobody can vouch for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VouchedManifestError {
    /// There is none.
    #[error(
        "{image} has no manifest next to it, and that is what is vouched for: {path} does not \
         exist (--manifest names another)"
    )]
    Missing {
        /// The image.
        image: PathBuf,
        /// Where the manifest should be.
        path: PathBuf,
    },
    /// Its end is still to come.
    #[error(
        "{path} ends early, because the run that wrote it was killed: make a complete image of what \
         it left with `linpmem-dump recover`, and vouch for that"
    )]
    Truncated {
        /// The manifest.
        path: PathBuf,
    },
    /// It is encrypted, and nothing says which image it is of.
    #[error(
        "{manifest} is encrypted, and what says which image it is of cannot be used: {path}: {reason}"
    )]
    Undescribed {
        /// The manifest.
        manifest: PathBuf,
        /// What is known without a key.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be read again.
    #[error("{path}: {source}")]
    Io {
        /// The manifest.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A manifest that will not change any more.
#[derive(Debug)]
pub struct VouchedManifest {
    /// Its path.
    pub path: PathBuf,
    /// The name of its image.
    #[cfg(feature = "sign")]
    pub image: String,
    /// The id of its image.
    #[cfg(feature = "sign")]
    pub id: Option<ImageId>,
    /// Its first line; none if it is encrypted.
    pub header: Option<Header>,
}

impl VouchedManifest {
    /// The manifest of the image at `image`: the one at `path`, or the one next to it. One that is
    /// encrypted stays so: what is known of it without a key is next to the image.
    ///
    /// # Errors
    /// If there is none, or it has no end yet.
    pub fn of(image: &Path, path: Option<&Path>) -> Result<Self, VouchedManifestError> {
        let path = path.map_or_else(|| manifest_beside(image), Path::to_path_buf);
        if !path.exists() {
            let image = image.to_path_buf();
            return Err(VouchedManifestError::Missing { image, path });
        }
        Self::read(&path, &encryption_of(image))
    }

    /// The manifest at `path`; `described` says what is known without a key, if it is encrypted.
    ///
    /// # Errors
    /// If it cannot be read, or has no end yet.
    pub fn read(path: &Path, described: &Path) -> Result<Self, VouchedManifestError> {
        let path = path.to_path_buf();
        if is_encrypted(&path).unwrap_or_default() {
            return Self::encrypted(path, described);
        }
        match linpmem_manifest::read(&path) {
            Ok(Manifest { header, .. }) => Ok(Self {
                path,
                #[cfg(feature = "sign")]
                image: header.image.name.clone(),
                #[cfg(feature = "sign")]
                id: header.image.id,
                header: Some(header),
            }),
            Err(ReadError::Truncated { .. }) => Err(VouchedManifestError::Truncated { path }),
            Err(error) => Err(error.into()),
        }
    }

    fn encrypted(path: PathBuf, described: &Path) -> Result<Self, VouchedManifestError> {
        let undescribed = |reason: String| VouchedManifestError::Undescribed {
            manifest: path.clone(),
            path: described.to_path_buf(),
            reason,
        };
        let record = EncryptionRecord::read(described);
        let record = record.map_err(|error| undescribed(error.to_string()))?;
        let found = sha256_of_file(&path).map_err(|error| undescribed(error.to_string()))?;
        if record.manifest.sha256 != Some(found) {
            return Err(undescribed("it is of another manifest".to_owned()));
        }
        Ok(Self {
            #[cfg(feature = "sign")]
            image: record.image.name.unwrap_or_else(|| "-".to_owned()),
            #[cfg(feature = "sign")]
            id: record.image_id,
            header: None,
            path,
        })
    }

    /// Its file, to be read from its beginning.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(&self) -> Result<File, VouchedManifestError> {
        File::open(&self.path).map_err(|source| VouchedManifestError::Io {
            path: self.path.clone(),
            source,
        })
    }
}
