// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest as far as it goes, for the volume that it is of: all but the
//! length and the hash of the file that it would lie in.

use super::{FileRecord, Footer, State};
use crate::clock::Moment;
use crate::digest::Sha256Sum;
use crate::source_sum::SourceSum;
use linpmem_formats::aff4;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A manifest that is being written, as a file of the image. It can be read when
/// the last range has been written.
#[derive(Clone, Debug, Default)]
pub struct SoFar(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    begun: OnceLock<Begun>,
    unreadable_pages: AtomicU64,
    tree: OnceLock<Sha256Sum>,
    /// Why the run was stopped.
    stopped: OnceLock<String>,
    /// What stands behind the ranges, the same at each reading.
    ending: OnceLock<Vec<u8>>,
}

#[derive(Debug)]
struct Begun {
    file: File,
    warnings: Vec<String>,
    source_sum: Option<Arc<SourceSum>>,
}

impl SoFar {
    /// Says which file the manifest is written to, the warnings up to now, and where
    /// the sum of a converted image will be.
    pub fn begin(&self, file: File, warnings: Vec<String>, source_sum: Option<Arc<SourceSum>>) {
        let _ = self.0.begun.set(Begun {
            file,
            warnings,
            source_sum,
        });
    }

    /// Counts pages that could not be read.
    pub(super) fn add_unreadable(&self, pages: u64) {
        self.0.unreadable_pages.fetch_add(pages, Ordering::Relaxed);
    }

    /// Says what the root over all chunks is.
    pub(super) fn set_tree(&self, tree: Sha256Sum) {
        let _ = self.0.tree.set(tree);
    }

    /// Says that the run was stopped, and why.
    pub(super) fn interrupt(&self, error: String) {
        let _ = self.0.stopped.set(error);
    }

    fn ending(&self, begun: &Begun) -> io::Result<Vec<u8>> {
        let unfinished = || io::Error::other("the last range is not written yet");
        let pages = self.0.unreadable_pages.load(Ordering::Relaxed);
        let mut warnings = begun.warnings.clone();
        let source_sum = begun.source_sum.as_deref();
        let footer = Footer {
            unreadable_pages: pages,
            source_sha256: source_sum.and_then(|sum| sum.or_warn(&mut warnings)),
            file: FileRecord {
                length: 0,
                image_length: 0,
                sha256: None,
                hashes: Vec::new(),
                sha256_tree: *self.0.tree.get().ok_or_else(unfinished)?,
                sha256_outside: None,
            },
            warnings,
            error: self.0.stopped.get().cloned(),
            ended: Moment::now().stamp(),
            state: match (self.0.stopped.get(), pages) {
                (Some(_), _) => State::Interrupted,
                (None, 0) => State::Complete,
                _ => State::CompleteWithUnreadable,
            },
        };
        let mut ending = b"\n]".to_vec();
        footer.end(&mut ending)?;
        Ok(ending)
    }
}

impl aff4::Content for SoFar {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let begun = self
            .0
            .begun
            .get()
            .ok_or_else(|| io::Error::other("it was not begun"))?;
        if self.0.ending.get().is_none() {
            let _ = self.0.ending.set(self.ending(begun)?);
        }
        let ending = self.0.ending.get().map_or(&[][..], Vec::as_slice);
        Ok(Box::new(
            At {
                file: &begun.file,
                position: 0,
            }
            .chain(ending),
        ))
    }
}

/// A file from its beginning, whoever else writes to it.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let size = self.file.read_at(buf, self.position)?;
        let read = u64::try_from(size).unwrap_or(u64::MAX);
        self.position = self.position.saturating_add(read);
        Ok(size)
    }
}
