// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that the user adds to the artifacts: `--add`.

use crate::sink::folder_of;
use glob::MatchOptions;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Files that cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddedError {
    /// A file that the user named cannot be read.
    #[error("--add {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No file matches a pattern.
    #[error("--add {path}: no file matches this pattern")]
    NoMatch {
        /// The pattern.
        path: PathBuf,
    },
}

/// The files that all `--add` options name.
pub(super) fn files(added: &[PathBuf]) -> Result<Vec<PathBuf>, AddedError> {
    let mut files = Vec::new();
    for path in added {
        files.extend(matching(path)?);
    }
    Ok(files)
}

/// The name of a file among the artifacts: its folder's real path, and its own name even
/// if it is a link.
pub(super) fn name(path: &Path) -> Result<String, AddedError> {
    let failed = |source| AddedError::Read {
        path: path.to_path_buf(),
        source,
    };
    let own = path
        .file_name()
        .ok_or_else(|| failed(io::Error::other("this does not name a file")))?;
    let whole = folder_of(path).canonicalize().map_err(failed)?.join(own);
    let name = whole.to_string_lossy();
    Ok(name.trim_start_matches('/').to_owned())
}

/// Opens a file. Pipes and devices, which might never end, are refused.
pub(super) fn open(path: &Path) -> Result<File, AddedError> {
    let failed = |source| AddedError::Read {
        path: path.to_path_buf(),
        source,
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("this is not a regular file")));
    }
    // It may have become a pipe just now, which must not block.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty());
    file.map(File::from).map_err(|errno| failed(errno.into()))
}

/// Matches as shells do.
const LIKE_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that one `--add` names, by name. A path that exists is not taken for a
/// pattern; a pattern matches regular files only.
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
        .ok_or_else(|| failed(io::Error::other("a pattern has to be UTF-8")))?;
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
