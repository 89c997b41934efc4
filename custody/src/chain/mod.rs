// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened to an image after it was acquired: `MANIFEST.custody`, a line for each event.
//! Every line has the SHA-256 of the line before it, and the first has that of the manifest, so
//! that none can be changed, taken out or put in between without the rest.

mod add;
mod entry;

pub use add::add;
pub use entry::Entry;

use crate::bounded;
use crate::digest::sha256;
use linpmem_manifest::Sha256Sum;
use std::io;
use std::path::{Path, PathBuf};

/// The most that is read: some ten thousand events.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The longest description of an event, in bytes.
pub const MAX_EVENT_BYTES: usize = 16 << 10;

/// A file of events that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The file cannot be read or written.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not a file, but a link, a pipe or the like.
    #[error("{path} is not a regular file, and events are written to no other")]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Another program is writing to it.
    #[error("{path} is being written to by another program: try again")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A line is wrong.
    #[error("{path}, line {line}: {fault}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The event cannot be described like this.
    #[error("the event has {0} bytes of text, and {MAX_EVENT_BYTES} are the most")]
    LongEvent(usize),
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The first line is about another manifest.
    #[error(
        "it follows the SHA-256 {found}, and the manifest has {expected}: these events are of \
         another manifest, or the manifest was changed"
    )]
    OtherManifest {
        /// What the line says.
        found: Sha256Sum,
        /// What it should say.
        expected: Sha256Sum,
    },
    /// It does not follow the line before.
    #[error(
        "it follows the SHA-256 {found}, and the line before has {expected}: a line was changed, \
         taken out or put in"
    )]
    OtherLine {
        /// What the line says.
        found: Sha256Sum,
        /// What it should say.
        expected: Sha256Sum,
    },
    /// It is not an event.
    #[error("this is not an event: {0}")]
    NotAnEvent(String),
    /// It has no end.
    #[error(
        "it has no end: whatever wrote it was interrupted, and its event was not recorded; \
         `truncate -s {whole_bytes}` removes what there is of it"
    )]
    NoEnd {
        /// Bytes of the lines before it.
        whole_bytes: usize,
    },
}

/// The events of a manifest, as far as they follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The events.
    pub entries: Vec<Entry>,
    /// The SHA-256 of the last line with its line feed, or of the manifest if there is none.
    pub head: Sha256Sum,
}

impl Chain {
    /// Reads the events at `path`, of the manifest with this SHA-256. `None` if there is no file.
    /// What follows a line that is wrong is left out, and the error says where that is.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(
        path: &Path,
        manifest: Sha256Sum,
    ) -> Result<Option<(Self, Option<ChainError>)>, ChainError> {
        match bounded::read_regular(path, MAX_FILE_BYTES) {
            Ok(bytes) => Ok(Some(Self::parse(&bytes, path, manifest))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ChainError::Io {
                action: "reading",
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    /// The events in `bytes`, the content of the file at `path`.
    #[must_use]
    pub fn parse(bytes: &[u8], path: &Path, manifest: Sha256Sum) -> (Self, Option<ChainError>) {
        let mut chain = Self {
            entries: Vec::new(),
            head: manifest,
        };
        let mut read = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if let Err(fault) = chain.follow(line, read) {
                let error = ChainError::Broken {
                    path: path.to_path_buf(),
                    line: chain.entries.len() + 1,
                    fault,
                };
                return (chain, Some(error));
            }
            read += line.len();
        }
        (chain, None)
    }

    /// Takes `line` for the next one, before which there are `read` bytes.
    fn follow(&mut self, line: &[u8], read: usize) -> Result<(), Fault> {
        if !line.ends_with(b"\n") {
            return Err(Fault::NoEnd { whole_bytes: read });
        }
        let entry = Entry::parse(line).map_err(Fault::NotAnEvent)?;
        let (found, expected) = (entry.previous, self.head);
        match (found == expected, self.entries.is_empty()) {
            (true, _) => {}
            (false, true) => return Err(Fault::OtherManifest { found, expected }),
            (false, false) => return Err(Fault::OtherLine { found, expected }),
        }
        self.head = sha256(line);
        self.entries.push(entry);
        Ok(())
    }
}
