// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hash of the input of a conversion, computed during the conversion.

use crate::Reading;
use crate::hash::sha256_of_reader;
use crate::plan::Plan;
use crate::section::Section;
use crate::source::SourceSpec;
use crate::stop::Stop;
use linpmem_manifest::Sha256Sum;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};

type Thread = JoinHandle<io::Result<Sha256Sum>>;

/// The SHA-256 of an input file, as it is when it is decrypted. The file is read at the same time as it is converted, so
/// that each byte has to come from the disk only once.
#[derive(Debug)]
pub struct InputHash {
    thread: Mutex<Option<io::Result<Thread>>>,
    sum: OnceLock<Result<Sha256Sum, String>>,
}

impl InputHash {
    /// The hash of the input if `plan` is a conversion, whose manifest records it. Ends
    /// when `stop` is raised.
    #[must_use]
    pub fn wanted(plan: &Plan, stop: &Stop) -> Option<Arc<Self>> {
        match &plan.source {
            SourceSpec::Image(path) if plan.selection.everything => {
                let reading = plan.reading.clone();
                Some(Arc::new(Self::begin(path.clone(), reading, stop.clone())))
            }
            _ => None,
        }
    }

    fn begin(path: PathBuf, reading: Reading, stop: Stop) -> Self {
        let thread = Builder::new()
            .name("hash-input".to_owned())
            .spawn(move || sha256_of_reader(Section::whole(reading.content(&path)?), &stop));
        Self {
            thread: Mutex::new(Some(thread)),
            sum: OnceLock::new(),
        }
    }

    /// Waits for the hash.
    ///
    /// # Errors
    /// The reason in words if the file could not be hashed.
    pub fn get(&self) -> Result<Sha256Sum, &str> {
        let sum = self.sum.get_or_init(|| {
            let thread = self.thread.lock();
            let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
            let panicked = || io::Error::other("the thread panicked, which is a bug");
            let thread = thread.unwrap_or_else(|| Err(panicked()));
            let sum = thread.and_then(|thread| thread.join().unwrap_or_else(|_| Err(panicked())));
            sum.map_err(|error| format!("the input image was not hashed: {error}"))
        });
        sum.as_ref().copied().map_err(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    #[test]
    fn gives_the_hash_or_the_reason_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, b"memory").unwrap();
        let hash = InputHash::begin(path.clone(), Reading::default(), Stop::default());
        for _ in 0..2 {
            assert_eq!(hash.get(), Ok(sha256(b"memory")));
        }
        let missing = InputHash::begin(
            folder.path().join("none"),
            Reading::default(),
            Stop::default(),
        );
        for _ in 0..2 {
            let why = missing.get().unwrap_err();
            assert!(why.contains("No such file"), "{why}");
        }
        let stop = Stop::default();
        stop.raise();
        assert!(
            InputHash::begin(path, Reading::default(), stop)
                .get()
                .is_err()
        );
    }
}
