// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that is encrypted before it is written anywhere.

use super::Sink;
use crate::encryption::{EncryptedSum, SUM_QUEUE, SumThread};
use bytes::Bytes;
use linpmem_encryption::{CHUNK_BYTES, Encryption, Recipients, encrypted_len};
use linpmem_phys::num::{len_bytes, u64_as_usize, usize_as_u64};
use std::io;
use std::sync::{Arc, OnceLock};

/// Encrypted bytes that are written at once, and a chunk more.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_ROOM: usize = BATCH_BYTES + 2 * CHUNK_BYTES;

/// Batches in memory, besides those that the inner sink holds: one is filled, one is hashed, and
/// others wait for that.
const BATCHES: usize = SUM_QUEUE + 2;

/// Encrypts what it takes, and passes that on. Nothing can be read back through it, and zeros are
/// as long as any other bytes.
pub struct EncryptedSink<S> {
    inner: S,
    /// None once the stream has its end.
    encryption: Option<Encryption>,
    header_bytes: u64,
    /// Bytes of the content.
    position: u64,
    /// Encrypted bytes that were not passed on yet.
    batch: Vec<u8>,
    sum: Option<SumThread>,
    result: Arc<OnceLock<EncryptedSum>>,
    /// Whether `inner` has failed: how much it has is unknown.
    is_broken: bool,
}

impl<S: Sink> EncryptedSink<S> {
    /// Encrypts to `recipients` what goes to `inner`. Once the stream has ended, `result` is the
    /// sum of what went there.
    ///
    /// # Errors
    /// If the system has no random numbers, or no thread can be started.
    pub fn new(
        inner: S,
        recipients: &Recipients,
        result: Arc<OnceLock<EncryptedSum>>,
    ) -> io::Result<Self> {
        let mut batch = Vec::with_capacity(BATCH_ROOM);
        let encryption = Encryption::begin(recipients, &mut batch)?;
        Ok(Self {
            inner,
            encryption: Some(encryption),
            header_bytes: len_bytes(&batch),
            position: 0,
            batch,
            sum: Some(SumThread::spawn()?),
            result,
            is_broken: false,
        })
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(BATCH_BYTES) {
            let encryption = self.encryption.as_mut().ok_or_else(ended)?;
            encryption.push(piece, &mut self.batch)?;
            self.position += len_bytes(piece);
            if self.batch.len() >= BATCH_BYTES {
                self.pass_on()?;
            }
        }
        Ok(())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let next = Vec::with_capacity(BATCH_ROOM);
        let batch = Bytes::from(std::mem::replace(&mut self.batch, next));
        let passed = self.inner.shared(&batch);
        self.is_broken |= passed.is_err();
        passed?;
        if let Some(sum) = &self.sum {
            sum.add(batch);
        }
        Ok(())
    }

    /// Ends the stream, so that all of it can be decrypted.
    fn end(&mut self) -> io::Result<()> {
        let encryption = self.encryption.take().ok_or_else(ended)?;
        encryption.finish(&mut self.batch)?;
        self.pass_on()?;
        let finished = self.inner.finish();
        self.is_broken |= finished.is_err();
        finished?;
        if let Some(sum) = self.sum.take() {
            // Nobody else sets it.
            let _ = self.result.set(sum.finish()?);
        }
        Ok(())
    }
}

fn ended() -> io::Error {
    io::Error::other("the encrypted stream has its end already; this is a bug")
}

impl<S: Sink> Sink for EncryptedSink<S> {
    fn position(&self) -> u64 {
        self.position
    }

    fn stored_bytes(&self, more: u64) -> u64 {
        let content = self.position.saturating_add(more);
        self.header_bytes.saturating_add(encrypted_len(content))
    }

    fn kept_bytes(&self) -> usize {
        // What the inner sink holds are batches, and no buffers that were given to this one.
        BATCHES * BATCH_ROOM + self.inner.held_bytes() + self.inner.kept_bytes()
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.push(bytes)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        // Made when they are needed: in the program, they would be as large.
        let zeros = vec![0; u64_as_usize(len.min(usize_as_u64(CHUNK_BYTES)))];
        let mut left = len;
        while left > 0 {
            let step = left.min(len_bytes(&zeros));
            self.push(zeros.get(..u64_as_usize(step)).unwrap_or(&zeros))?;
            left -= step;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end()
    }

    fn abandon(&mut self) {
        // What was written so far is worth its end. The error that led here is the one to
        // report.
        if self.is_broken || self.encryption.is_none() || self.end().is_err() {
            self.inner.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FileSink, LimitedSink, Limits, PipeSink};
    use super::*;
    use crate::Reading;
    use crate::encryption::tests::{identities, recipients};
    use crate::hash::file_sha256;
    use crate::stop::Stop;
    use linpmem_phys::PhysLen;
    use std::fs::File;
    use std::path::{Path, PathBuf};

    fn content(path: &Path) -> io::Result<Vec<u8>> {
        let reading = Reading {
            identities: identities(),
            ..Reading::default()
        };
        let content = reading.content(path)?;
        let mut bytes = vec![0; u64_as_usize(content.len())];
        content.read_exact_at(0, &mut bytes)?;
        assert!(!content.ends_early(), "the stream has no end");
        Ok(bytes)
    }

    fn sink(folder: &Path, result: &Arc<OnceLock<EncryptedSum>>) -> EncryptedSink<FileSink> {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.join("a"))
            .unwrap();
        let inner = FileSink::new(file, folder).unwrap();
        EncryptedSink::new(inner, &recipients(), Arc::clone(result)).unwrap()
    }

    #[test]
    fn what_arrives_is_what_was_encrypted_and_has_the_sum_that_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let result = Arc::default();
        let mut sink = sink(folder.path(), &result);
        sink.bytes(&[1; 1000]).unwrap();
        sink.zeros(300_000).unwrap();
        sink.shared(&Bytes::from(vec![2; 2 << 20])).unwrap();
        assert!(!sink.has_free_holes() && sink.file().is_none());
        let position = sink.position();
        let promised = sink.stored_bytes(0);
        sink.finish().unwrap();
        let path = folder.path().join("a");
        let bytes = content(&path).unwrap();
        assert_eq!(len_bytes(&bytes), position);
        assert!(bytes[..1000].iter().all(|&byte| byte == 1));
        assert!(bytes[1000..301_000].iter().all(|&byte| byte == 0));
        assert!(bytes[301_000..].iter().all(|&byte| byte == 2));
        let sum = result.get().unwrap();
        assert_eq!(sum.length, path.metadata().unwrap().len());
        assert_eq!(sum.length, promised);
        assert_eq!(sum.sha256, file_sha256(&path, &Stop::default()).unwrap());
    }

    /// As when the disk is nearly full.
    #[test]
    fn a_stream_that_reaches_its_limit_has_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let result = Arc::default();
        let limits = Limits {
            max_size: Some(PhysLen::new(1_000_000)),
            min_free: PhysLen::ZERO,
        };
        let inner = sink(folder.path(), &result);
        let mut sink = LimitedSink::new(inner, limits, folder.path().to_path_buf());
        let piece = Bytes::from(vec![7; 10_000]);
        let error = loop {
            if let Err(error) = sink.shared(&piece) {
                break error.to_string();
            }
        };
        assert!(error.contains("--max-size"), "{error}");
        let position = sink.position();
        sink.abandon();
        let path = folder.path().join("a");
        let bytes = content(&path).unwrap();
        assert_eq!(len_bytes(&bytes), position);
        assert!(path.metadata().unwrap().len() <= 1_000_000);
        // All of the room was used.
        assert!(position > 980_000, "{position}");
    }

    /// Fails after some bytes, as a full disk does.
    struct Full(PipeSink<Vec<u8>>, bool);

    impl Sink for Full {
        fn position(&self) -> u64 {
            self.0.position()
        }

        fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
            match self.0.position() {
                0 => self.0.bytes(bytes),
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn zeros(&mut self, _: u64) -> io::Result<()> {
            unreachable!("there are no zeros in what is encrypted")
        }

        fn held_bytes(&self) -> usize {
            5 << 20
        }

        fn finish(&mut self) -> io::Result<()> {
            unreachable!("it has failed")
        }

        fn abandon(&mut self) {
            self.1 = true;
        }
    }

    #[test]
    fn what_is_held_of_it_is_kept_in_memory() {
        let full = Full(PipeSink::new(Vec::new()), false);
        let sink = EncryptedSink::new(full, &recipients(), Arc::default()).unwrap();
        let sink = LimitedSink::new(sink, Limits::default(), PathBuf::new());
        // Batches on their way, and none of the buffers that it is given.
        assert_eq!(sink.kept_bytes(), (5 << 20) + 6 * (384 << 10));
        assert_eq!(sink.held_bytes(), 0);
    }

    #[test]
    fn nothing_follows_a_write_that_failed() {
        let full = Full(PipeSink::new(Vec::new()), false);
        let mut sink = EncryptedSink::new(full, &recipients(), Arc::default()).unwrap();
        sink.bytes(&[1; BATCH_BYTES * 4]).unwrap_err();
        let before = sink.inner.position();
        sink.abandon();
        assert!(sink.inner.1);
        assert_eq!(sink.inner.position(), before);
        assert!(sink.result.get().is_none());
    }
}
