// SPDX-License-Identifier: MIT OR Apache-2.0
//! The modules of a kernel: the files below /lib/modules/RELEASE.

use crate::error::FitError;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

/// The most folders and files that are looked at. The largest distributions have 7,000
/// modules.
const MAX_ENTRIES: usize = 100_000;

/// The modules below a folder, in a fixed order, found as they are asked for. Those that
/// were built with the kernel come first.
pub(crate) struct ModuleTree {
    folders: VecDeque<PathBuf>,
    files: VecDeque<PathBuf>,
    seen: usize,
}

impl ModuleTree {
    /// The modules below `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let own = folder.join("kernel");
        // Modules beside this folder may be others', built for another kernel.
        let start = if own.is_dir() {
            own
        } else {
            folder.to_path_buf()
        };
        Self {
            folders: VecDeque::from([start]),
            files: VecDeque::new(),
            seen: 0,
        }
    }

    fn list(&mut self, folder: &Path) -> Result<(), FitError> {
        let unreadable = |source| FitError::File {
            path: folder.to_path_buf(),
            source,
        };
        let mut folders = Vec::new();
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            self.seen += 1;
            if self.seen > MAX_ENTRIES {
                return Err(FitError::unusable(
                    folder.display().to_string(),
                    format!("there are more than {MAX_ENTRIES} files"),
                ));
            }
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_module(&entry.file_name().to_string_lossy()) {
                files.push(entry.path());
            }
        }
        folders.sort();
        files.sort();
        for folder in folders.into_iter().rev() {
            self.folders.push_front(folder);
        }
        self.files.extend(files);
        Ok(())
    }
}

impl Iterator for ModuleTree {
    type Item = Result<PathBuf, FitError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(file) = self.files.pop_front() {
                return Some(Ok(file));
            }
            let folder = self.folders.pop_front()?;
            if let Err(error) = self.list(&folder) {
                self.folders.clear();
                return Some(Err(error));
            }
        }
    }
}

fn is_module(name: &str) -> bool {
    [".ko", ".ko.xz", ".ko.zst", ".ko.gz"]
        .iter()
        .any(|end| name.ends_with(end))
}
