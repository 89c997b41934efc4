// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest that something is to vouch for.

use linpmem_manifest::paths::manifest_beside;
use linpmem_manifest::{Manifest, ReadError};
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
    /// What it says.
    pub content: Manifest,
}

impl VouchedManifest {
    /// Reads the manifest of the image at `image`: the one at `path`, or the one next to it.
    ///
    /// # Errors
    /// If there is none, or it has no end yet.
    pub fn of(image: &Path, path: Option<&Path>) -> Result<Self, VouchedManifestError> {
        let path = path.map_or_else(|| manifest_beside(image), Path::to_path_buf);
        if !path.exists() {
            let image = image.to_path_buf();
            return Err(VouchedManifestError::Missing { image, path });
        }
        Self::read(&path)
    }

    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or has no end yet.
    pub fn read(path: &Path) -> Result<Self, VouchedManifestError> {
        let path = path.to_path_buf();
        match linpmem_manifest::read(&path) {
            Ok(content) => Ok(Self { path, content }),
            Err(ReadError::Truncated { .. }) => Err(VouchedManifestError::Truncated { path }),
            Err(error) => Err(error.into()),
        }
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
