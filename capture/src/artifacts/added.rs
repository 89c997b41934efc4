// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that the user adds to the artifacts: `--add`.

use super::added_reader::AddedReader;
use super::pattern;
use crate::sink::folder_of;
use crate::timeout::Patience;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// A file to add.
#[derive(Debug)]
pub(super) struct AddedFile {
    pub(super) path: PathBuf,
    /// Its name among the artifacts: its folder's real path, and its own name even if it
    /// is a link.
    pub(super) name: String,
    /// What it is a symbolic link to: whoever owns the link chose what is read.
    pub(super) link: Option<PathBuf>,
    /// Whether the user named it; otherwise a pattern matched it.
    pub(super) is_named: bool,
}

/// What the `--add` options name.
#[derive(Debug, Default)]
pub(super) struct Added {
    pub(super) files: Vec<AddedFile>,
    /// Patterns and folders that could not be searched, and why.
    pub(super) missing: Vec<(String, String)>,
}

/// The files that all `--add` options name, found by `reader`. A file system that does not
/// answer takes no longer than `timeout`.
///
/// # Errors
/// If a file that the user named does not exist, or a pattern matches nothing.
pub(super) fn files(
    added: &[PathBuf],
    reader: &AddedReader,
    patience: &AddedPatience,
) -> Result<Added, AddedError> {
    let mut all = Added::default();
    for path in added {
        match reader.search(path, &patience.with(!is_pattern(path))) {
            Ok(found) => {
                let found = found?;
                all.files.extend(found.files);
                all.missing.extend(found.missing);
            }
            Err(source) if is_pattern(path) => {
                let name = path.to_string_lossy().into_owned();
                all.missing.push((name, source.to_string()));
            }
            Err(source) => return Err(failed(path, source)),
        }
    }
    Ok(all)
}

/// How long to wait for added files. What patterns match may be given up altogether, after
/// it has failed to answer several times; that says nothing of files that the user named.
#[derive(Debug)]
pub(super) struct AddedPatience {
    timeout: Option<Duration>,
    matched: Patience,
}

impl AddedPatience {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            matched: Patience::new(timeout),
        }
    }

    /// For a file that the user named, or one that a pattern matched.
    pub(super) fn with(&self, is_named: bool) -> Patience {
        match is_named {
            true => Patience::new(self.timeout),
            false => self.matched.clone(),
        }
    }
}

pub(super) fn failed(path: &Path, source: io::Error) -> AddedError {
    AddedError::Read {
        path: path.to_path_buf(),
        source,
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// The files that one `--add` names, by name. A path that exists is not taken for a
/// pattern; a pattern matches regular files and links only.
pub(super) fn search(path: &Path) -> Result<Added, AddedError> {
    let mut found = Added::default();
    if path.exists() || !is_pattern(path) {
        let file = describe(path, true).map_err(|source| failed(path, source))?;
        found.files.push(file);
        return Ok(found);
    }
    let text = path
        .to_str()
        .ok_or_else(|| failed(path, io::Error::other("a pattern has to be UTF-8")))?;
    let matches = pattern::matches(text).map_err(|error| failed(path, io::Error::other(error)))?;
    for (folder, error) in &matches.failed {
        found.missing.push(lack(folder, error));
    }
    for matched in &matches.found {
        // Folders, pipes and devices are not what a pattern means.
        if !is_file_or_link(matched) {
            continue;
        }
        match describe(matched, false) {
            Ok(file) => found.files.push(file),
            Err(error) => found.missing.push(lack(matched, &error)),
        }
    }
    if found.files.is_empty() && found.missing.is_empty() {
        return Err(AddedError::NoMatch {
            path: path.to_path_buf(),
        });
    }
    Ok(found)
}

fn lack(path: &Path, reason: &dyn ToString) -> (String, String) {
    (path.to_string_lossy().into_owned(), reason.to_string())
}

fn is_file_or_link(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file() || metadata.is_symlink())
}

fn describe(path: &Path, is_named: bool) -> io::Result<AddedFile> {
    let own = path
        .file_name()
        .ok_or_else(|| io::Error::other("this does not name a file"))?;
    let name = folder_of(path).canonicalize()?.join(own);
    let name = name.to_string_lossy();
    Ok(AddedFile {
        path: path.to_path_buf(),
        name: name.trim_start_matches('/').to_owned(),
        link: path.read_link().ok(),
        is_named,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_patterns_match_cannot_use_up_the_patience_for_named_files() {
        let patience = AddedPatience::new(Some(Duration::from_millis(5)));
        let (_kept, never) = crossbeam_channel::bounded::<()>(1);
        for _ in 0..4 {
            let never = never.clone();
            let asked = patience.with(false).ask(move || Ok(never.recv().is_ok()));
            assert_eq!(asked.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let answer = |is_named| patience.with(is_named).ask(|| Ok(5));
        assert!(answer(false).is_err());
        // A busy machine may take longer than that once.
        assert!((0..100).any(|_| answer(true).is_ok()));
    }
}
