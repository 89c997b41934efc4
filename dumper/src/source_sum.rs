// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sum of an image that is converted, made meanwhile.

use crate::args::SelectionArgs;
use crate::checksum;
use crate::digest::Sha256Sum;
use crate::notation::SourceSpec;
use crate::stop::Stop;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};

type Thread = JoinHandle<io::Result<Sha256Sum>>;

/// The SHA-256 of a file, on its way. The file is read beside the conversion, so
/// that a disk has to give each byte only once.
#[derive(Debug)]
pub struct SourceSum {
    thread: Mutex<Option<io::Result<Thread>>>,
    sum: OnceLock<Result<Sha256Sum, String>>,
}

impl SourceSum {
    /// The sum of the image that all of `selection` comes from: a conversion names
    /// what it was made of. It ends when `stop` is raised.
    #[must_use]
    pub fn wanted(selection: &SelectionArgs, stop: &Stop) -> Option<Arc<Self>> {
        match &selection.source {
            SourceSpec::Image(path) if selection.everything => {
                Some(Arc::new(Self::begin(path.clone(), stop.clone())))
            }
            _ => None,
        }
    }

    fn begin(path: PathBuf, stop: Stop) -> Self {
        let thread = Builder::new()
            .name("sum-source".to_owned())
            .spawn(move || checksum::of_file(&path, &stop));
        Self {
            thread: Mutex::new(Some(thread)),
            sum: OnceLock::new(),
        }
    }

    /// Waits for the sum. If there is none, `warnings` say why.
    pub fn or_warn(&self, warnings: &mut Vec<String>) -> Option<Sha256Sum> {
        warnings.extend(self.trouble().map(str::to_owned));
        self.get().as_ref().ok().copied()
    }

    /// Waits for the sum. Why there is none, if so.
    pub fn trouble(&self) -> Option<&str> {
        self.get().as_ref().err().map(String::as_str)
    }

    /// Waits for the sum, or for why there is none.
    fn get(&self) -> &Result<Sha256Sum, String> {
        self.sum.get_or_init(|| {
            let thread = self.thread.lock();
            let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
            let panicked = || io::Error::other("its thread panicked; this is a bug");
            let thread = thread.unwrap_or_else(|| Err(panicked()));
            let sum = thread.and_then(|thread| thread.join().unwrap_or_else(|_| Err(panicked())));
            sum.map_err(|error| format!("the source image has no hash: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_sum_or_why_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, b"memory").unwrap();
        let sum = SourceSum::begin(path.clone(), Stop::default());
        for _ in 0..2 {
            let mut warnings = Vec::new();
            assert_eq!(sum.or_warn(&mut warnings), Some(Sha256Sum::of(b"memory")));
            assert!(warnings.is_empty());
        }

        let missing = SourceSum::begin(folder.path().join("none"), Stop::default());
        let mut warnings = Vec::new();
        assert_eq!(missing.or_warn(&mut warnings), None);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("No such file"), "{warnings:?}");
        assert_eq!(missing.trouble(), Some(&*warnings[0]));

        let stop = Stop::default();
        stop.raise();
        let stopped = SourceSum::begin(path, stop);
        assert!(stopped.trouble().is_some());
    }
}
