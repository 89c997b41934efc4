// SPDX-License-Identifier: MIT OR Apache-2.0
//! The progress of a run.

use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters that the stages of a run update.
#[derive(Debug, Default)]
pub struct Meter {
    read_bytes: AtomicU64,
    image_bytes: AtomicU64,
    file_bytes: AtomicU64,
    unreadable_pages: AtomicU64,
    compared_bytes: AtomicU64,
    is_second_pass: AtomicBool,
    hashed_bytes: AtomicU64,
    to_hash_bytes: AtomicU64,
    is_hashing: AtomicBool,
    is_cut_off: AtomicBool,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MeterReading {
    /// Bytes of memory read.
    pub read_bytes: u64,
    /// Bytes of memory written to the image.
    pub image_bytes: u64,
    /// Bytes of the output file.
    pub file_bytes: u64,
    /// Pages that could not be read.
    pub unreadable_pages: u64,
    /// Bytes compared so far; only in the second pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_bytes: Option<u64>,
    /// Bytes of the file read back so far; only while it is read back to be hashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashed_bytes: Option<u64>,
    /// Bytes of the file to read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_hash_bytes: Option<u64>,
    /// Whether there is no connection to the receiver of the image; only then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut_off: bool,
}

impl Meter {
    /// Counts bytes that were read, and pages among them that could not be.
    pub fn add_read(&self, bytes: u64, unreadable_pages: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.unreadable_pages
            .fetch_add(unreadable_pages, Ordering::Relaxed);
    }

    /// Counts bytes that were written; the file has `file_bytes` now.
    pub fn add_written(&self, bytes: u64, file_bytes: u64) {
        self.image_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.file_bytes.store(file_bytes, Ordering::Relaxed);
    }

    /// The second pass begins, after everything has been written.
    pub fn begin_second_pass(&self) {
        self.is_second_pass.store(true, Ordering::Relaxed);
    }

    /// Counts bytes that were read for the second time.
    pub fn add_compared(&self, bytes: u64) {
        self.compared_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The image is read back to be hashed: this many bytes of its file.
    pub fn begin_hashing(&self, bytes: u64) {
        self.hashed_bytes.store(0, Ordering::Relaxed);
        self.to_hash_bytes.store(bytes, Ordering::Relaxed);
        self.is_hashing.store(true, Ordering::Relaxed);
    }

    /// Counts bytes of the file that were read back.
    pub fn add_hashed(&self, bytes: u64) {
        self.hashed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether there is no connection to the receiver of the image.
    pub fn set_cut_off(&self, is_cut_off: bool) {
        self.is_cut_off.store(is_cut_off, Ordering::Relaxed);
    }

    /// A number that changes whenever there is progress.
    #[must_use]
    pub fn activity(&self) -> u64 {
        [
            &self.read_bytes,
            &self.image_bytes,
            &self.file_bytes,
            &self.compared_bytes,
            &self.hashed_bytes,
        ]
        .iter()
        .fold(0, |sum, counter| {
            sum.wrapping_add(counter.load(Ordering::Relaxed))
        })
    }

    /// The counters now.
    #[must_use]
    pub fn reading(&self) -> MeterReading {
        let is_hashing = self.is_hashing.load(Ordering::Relaxed);
        let hashing = |counter: &AtomicU64| is_hashing.then(|| counter.load(Ordering::Relaxed));
        MeterReading {
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            image_bytes: self.image_bytes.load(Ordering::Relaxed),
            file_bytes: self.file_bytes.load(Ordering::Relaxed),
            unreadable_pages: self.unreadable_pages.load(Ordering::Relaxed),
            compared_bytes: self
                .is_second_pass
                .load(Ordering::Relaxed)
                .then(|| self.compared_bytes.load(Ordering::Relaxed)),
            hashed_bytes: hashing(&self.hashed_bytes),
            to_hash_bytes: hashing(&self.to_hash_bytes),
            is_cut_off: self.is_cut_off.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What differs is looked for in a second reading, which is no progress beyond the end.
    #[test]
    fn each_reading_back_counts_from_its_beginning() {
        let meter = Meter::default();
        assert_eq!(meter.reading().hashed_bytes, None);
        meter.begin_hashing(10);
        meter.add_hashed(10);
        assert_eq!(meter.reading().hashed_bytes, Some(10));
        meter.begin_hashing(7);
        let reading = meter.reading();
        assert_eq!(
            (reading.hashed_bytes, reading.to_hash_bytes),
            (Some(0), Some(7))
        );
    }
}
