// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that the user wants beside the memory.

use crate::sink::folder_of;
use glob::MatchOptions;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files that cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddedError {
    /// One that was asked for by name.
    #[error("--add {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A pattern that no file matches.
    #[error("--add {path}: no file matches")]
    NoMatch {
        /// The pattern.
        path: PathBuf,
    },
}

/// The files that all `--add` mean.
pub(super) fn files(added: &[PathBuf]) -> Result<Vec<PathBuf>, AddedError> {
    let mut files = Vec::new();
    for path in added {
        files.extend(matching(path)?);
    }
    Ok(files)
}

/// What a file is called among the artifacts: by its folder's true path, and its own
/// name even if it is a link.
pub(super) fn name(path: &Path) -> Result<String, AddedError> {
    let failed = |source| AddedError::Read {
        path: path.to_path_buf(),
        source,
    };
    let own = path
        .file_name()
        .ok_or_else(|| failed(io::Error::other("it does not name a file")))?;
    let whole = folder_of(path).canonicalize().map_err(failed)?.join(own);
    let name = whole.to_string_lossy();
    Ok(name.trim_start_matches('/').to_owned())
}

/// Opens one. A pipe or a device might never end.
pub(super) fn open(path: &Path) -> Result<File, AddedError> {
    let failed = |source| AddedError::Read {
        path: path.to_path_buf(),
        source,
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    // It may have become one just now.
    OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path)
        .map_err(failed)
}

/// As a shell does it.
const LIKE_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that one `--add` means, by name. What exists under the very name is
/// that; a pattern means regular files only.
fn matching(path: &Path) -> Result<Vec<PathBuf>, AddedError> {
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']);
    if path.exists() || !is_pattern {
        return Ok(vec![path.to_path_buf()]);
    }
    let failed = |source: io::Error| AddedError::Read {
        path: path.to_path_buf(),
        source,
    };
    let pattern = path
        .to_str()
        .ok_or_else(|| failed(io::Error::other("a pattern is UTF-8")))?;
    let found = glob::glob_with(pattern, LIKE_A_SHELL)
        .map_err(|error| failed(io::Error::other(error)))?
        .collect::<Result<Vec<PathBuf>, _>>()
        .map_err(|error| failed(error.into()))?;
    let files: Vec<PathBuf> = found.into_iter().filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return Err(AddedError::NoMatch {
            path: path.to_path_buf(),
        });
    }
    Ok(files)
}
