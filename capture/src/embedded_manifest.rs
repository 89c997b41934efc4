// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest inside the AFF4 volume that it describes: everything except the length
//! and the hash of the volume's own file.

use crate::clock::Moment;
use crate::input_hash::InputHash;
use linpmem_formats::aff4;
use linpmem_manifest::{FileRecord, Footer, Record, Sha256Sum, State};
use linpmem_phys::num::usize_as_u64;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

/// A manifest that is still being written, as a member of the volume. It can be read
/// once the last range has been written.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedManifest(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    begun: OnceLock<Begun>,
    /// The totals over all ranges.
    checkpoint: OnceLock<Checkpoint>,
    /// What follows the ranges; the same each time the manifest is read.
    footer: OnceLock<Vec<u8>>,
}

#[derive(Debug)]
struct Begun {
    file: File,
    warnings: Vec<String>,
    input_hash: Option<Arc<InputHash>>,
}

/// What is known once the last range has been written.
#[derive(Debug)]
pub struct Checkpoint {
    /// The manifest's lines up to here, in bytes.
    pub manifest_bytes: u64,
    /// The Merkle root over all chunks.
    pub sha256_tree: Sha256Sum,
    /// Pages that could not be read.
    pub unreadable_pages: u64,
    /// Why the run was stopped, if it was.
    pub stopped: Option<String>,
    /// What the user should know since the manifest was begun.
    pub warnings: Vec<String>,
}

impl EmbeddedManifest {
    /// Sets the file that the manifest is written to, the warnings so far, and where the
    /// hash of a converted image will come from.
    pub fn begin(&self, file: File, warnings: Vec<String>, input_hash: Option<Arc<InputHash>>) {
        let _ = self.0.begun.set(Begun {
            file,
            warnings,
            input_hash,
        });
    }

    /// The lines that were written so far; `None` if there is no file with them.
    pub(crate) fn lines(&self) -> Option<impl Read + '_> {
        let file = &self.0.begun.get()?.file;
        Some(At { file, position: 0 })
    }

    /// Sets the totals over all ranges, which must all be in the file by now.
    pub fn complete(&self, checkpoint: Checkpoint) {
        let _ = self.0.checkpoint.set(checkpoint);
    }

    fn footer(begun: &Begun, done: &Checkpoint) -> io::Result<Vec<u8>> {
        let mut warnings = [&begun.warnings[..], &done.warnings].concat();
        let source_sha256 = match begun.input_hash.as_deref().map(InputHash::get) {
            Some(Err(why)) => {
                warnings.push(why.to_owned());
                None
            }
            Some(Ok(sum)) => Some(sum),
            None => None,
        };
        let footer = Footer {
            unreadable_pages: done.unreadable_pages,
            source_sha256,
            file: FileRecord {
                length: 0,
                image_length: 0,
                sha256: None,
                hashes: Vec::new(),
                sha256_tree: done.sha256_tree,
                sha256_remainder: None,
            },
            hashed: None,
            warnings,
            error: done.stopped.clone(),
            ended: Moment::now().stamp(),
            state: match (&done.stopped, done.unreadable_pages) {
                (Some(_), _) => State::Interrupted,
                (None, 0) => State::Complete,
                _ => State::CompleteWithUnreadable,
            },
        };
        let mut line = Vec::new();
        Record::Footer(Box::new(footer)).write_line(&mut line)?;
        Ok(line)
    }
}

impl aff4::Content for EmbeddedManifest {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let begun = self
            .0
            .begun
            .get()
            .ok_or_else(|| io::Error::other("the manifest was not begun"))?;
        let unfinished = || io::Error::other("the last range has not been written yet");
        let done = self.0.checkpoint.get().ok_or_else(unfinished)?;
        let footer = match self.0.footer.get() {
            Some(footer) => footer,
            None => {
                let footer = Self::footer(begun, done)?;
                self.0.footer.get_or_init(|| footer)
            }
        };
        let lines = At {
            file: &begun.file,
            position: 0,
        };
        Ok(Box::new(
            lines.take(done.manifest_bytes).chain(footer.as_slice()),
        ))
    }
}

/// Reads a file from its beginning, while something else may write to it.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let size = self.file.read_at(buf, self.position)?;
        self.position += usize_as_u64(size);
        Ok(size)
    }
}
