// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's files, none of which is trusted: each is read up to a limit, and
//! given up when it hangs.

use crate::timeout::{Patience, TimeoutFile};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Texts that are facts, like /proc/version.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Files in a folder that are looked at.
const MAX_FILES: usize = 8192;

/// Where the machine's files are: below `/`, or below a test's folder.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: PathBuf,
    patience: Patience,
}

impl Tree {
    /// This machine's. What does not answer within `timeout` is given up.
    pub(super) fn of_this_machine(timeout: Option<Duration>) -> Self {
        Self::at(PathBuf::from("/"), timeout)
    }

    pub(super) fn at(root: PathBuf, timeout: Option<Duration>) -> Self {
        Self {
            root,
            patience: Patience::new(timeout),
        }
    }

    /// The file `name`, as in `proc/version`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn open(&self, name: &str) -> io::Result<TimeoutFile> {
        TimeoutFile::open(&self.path(name), &self.patience)
    }

    pub(super) fn bytes(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        TimeoutFile::all(&self.path(name), limit, &self.patience)
    }

    /// A file that is text, without the white space at its end.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let bytes = self.bytes(name, MAX_TEXT_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_end().to_owned())
    }

    /// Whether there is something of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let path = self.path(name);
        self.patience.ask(move || path.symlink_metadata()).is_ok()
    }

    /// The names of what is in a folder, sorted; those that are no UTF-8 are none
    /// of the kernel's.
    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.path(folder);
        let mut names = self.patience.ask(move || {
            let entries = path.read_dir()?.take(MAX_FILES);
            let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
            let names: Vec<Option<String>> = names.collect::<io::Result<_>>()?;
            Ok(names.into_iter().flatten().collect::<Vec<String>>())
        })?;
        names.sort_unstable();
        Ok(names)
    }
}
