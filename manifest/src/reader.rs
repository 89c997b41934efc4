// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a manifest.

use crate::Manifest;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// There is no manifest to go by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: {source} (the manifest's place can be given with --manifest)")]
    Io {
        /// The manifest.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It breaks off, as after a crash.
    #[error("{path} breaks off: the run that wrote it did not end in order")]
    Truncated {
        /// The manifest.
        path: PathBuf,
    },
    /// It is none, or of another version or form.
    #[error(
        "{path} is no manifest that this program reads: {source}; if it is not damaged, the \
         linpmem-dump that wrote it reads it"
    )]
    Json {
        /// The manifest.
        path: PathBuf,
        /// Where it went wrong.
        source: serde_json::Error,
    },
}

/// Reads the manifest at `path`.
///
/// # Errors
/// If it is missing, damaged, or of another version.
pub fn read(path: &Path) -> Result<Manifest, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    parse(file, path)
}

/// Reads the manifest in `content`, which is called `path`.
///
/// # Errors
/// If it is damaged, or of another version.
pub fn parse(content: impl Read, path: &Path) -> Result<Manifest, ReadError> {
    let content = BufReader::new(content);
    serde_json::from_reader(content).map_err(|source| {
        let path = path.to_path_buf();
        if source.is_eof() {
            ReadError::Truncated { path }
        } else {
            ReadError::Json { path, source }
        }
    })
}
