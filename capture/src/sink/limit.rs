// SPDX-License-Identifier: MIT OR Apache-2.0
//! Limits that are also checked while a file grows.

use super::Sink;
use super::space::{SpaceError, free_space};
use bytes::Bytes;
use linpmem_phys::PhysLen;
use linpmem_phys::num::len_bytes;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Bytes that may be written between two checks of the free space.
const SPACE_CHECK_INTERVAL: u64 = 8 << 20;

/// How large a file may become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the file.
    pub max_size: Option<PhysLen>,
    /// Bytes that must stay free on its disk.
    pub min_free: PhysLen,
}

/// A sink that returns an error at its limits.
pub struct LimitedSink<S> {
    inner: S,
    limits: Limits,
    folder: PathBuf,
    /// Bytes written, without holes, since the free space was checked.
    since_last_check: u64,
}

impl<S: Sink> LimitedSink<S> {
    /// Writes to `inner`, a file in `folder`, within `limits`.
    #[must_use]
    pub const fn new(inner: S, limits: Limits, folder: PathBuf) -> Self {
        Self {
            inner,
            limits,
            folder,
            // The first piece is checked as well.
            since_last_check: SPACE_CHECK_INTERVAL,
        }
    }

    fn check_size(&self, more: u64) -> io::Result<()> {
        let Some(limit) = self.limits.max_size else {
            return Ok(());
        };
        if self.inner.stored_bytes(more) > limit.get() {
            return Err(io::Error::other(SpaceError::PastMaxSize { limit }));
        }
        Ok(())
    }

    fn check_free(&mut self, more: u64) -> io::Result<()> {
        if self.limits.min_free == PhysLen::ZERO {
            return Ok(());
        }
        self.since_last_check = self.since_last_check.saturating_add(more);
        if self.since_last_check < SPACE_CHECK_INTERVAL {
            return Ok(());
        }
        self.since_last_check = 0;
        let Some(free) = free_space(&self.folder).map_err(io::Error::other)? else {
            return Ok(());
        };
        if free.get() < self.limits.min_free.get().saturating_add(more) {
            return Err(io::Error::other(SpaceError::PastMinFree {
                folder: self.folder.clone(),
                free,
                limit: self.limits.min_free,
            }));
        }
        Ok(())
    }
}

impl<S: Sink> Sink for LimitedSink<S> {
    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn stored_bytes(&self, more: u64) -> u64 {
        self.inner.stored_bytes(more)
    }

    fn kept_bytes(&self) -> usize {
        self.inner.kept_bytes()
    }

    fn held_bytes(&self) -> usize {
        self.inner.held_bytes()
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check_size(len_bytes(bytes))?;
        self.check_free(len_bytes(bytes))?;
        self.inner.bytes(bytes)
    }

    fn shared(&mut self, bytes: &Bytes) -> io::Result<()> {
        self.check_size(len_bytes(bytes))?;
        self.check_free(len_bytes(bytes))?;
        self.inner.shared(bytes)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.check_size(len)?;
        self.inner.zeros(len)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }

    fn has_free_holes(&self) -> bool {
        self.inner.has_free_holes()
    }

    fn file(&self) -> Option<&File> {
        self.inner.file()
    }

    fn abandon(&mut self) {
        self.inner.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::super::PipeSink;
    use super::*;

    fn limited(limits: Limits, folder: &std::path::Path) -> LimitedSink<PipeSink<Vec<u8>>> {
        LimitedSink::new(PipeSink::new(Vec::new()), limits, folder.to_path_buf())
    }

    #[test]
    fn the_last_byte_is_still_taken_and_the_next_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            max_size: Some(PhysLen::new(10)),
            min_free: PhysLen::ZERO,
        };
        let mut sink = limited(limits, folder.path());
        sink.bytes(&[1; 6]).unwrap();
        sink.zeros(4).unwrap();
        let error = sink.bytes(&[1]).unwrap_err().to_string();
        assert!(error.contains("--max-size"), "{error}");
        assert!(sink.zeros(1).is_err());
        assert_eq!(sink.position(), 10);
    }

    #[test]
    fn a_disk_with_less_than_has_to_stay_free_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            max_size: None,
            min_free: PhysLen::new(1 << 60),
        };
        let mut sink = limited(limits, folder.path());
        let error = sink.bytes(&[1]).unwrap_err().to_string();
        assert!(error.contains("--min-free"), "{error}");
        assert_eq!(sink.position(), 0);
    }
}
