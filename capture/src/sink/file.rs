// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file, with holes where memory is zero.

use super::Sink;
use super::behind::{WriteBehind, drop_cache};
use super::direct::DirectWriter;
use crate::spool::unnamed_file;
use bytes::Bytes;
use linpmem_phys::num::len_bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Writes to a new, empty regular file.
#[derive(Debug)]
pub struct FileSink {
    file: File,
    position: u64,
    folder: PathBuf,
    path: WritePath,
}

/// How bytes reach the disk.
#[derive(Debug)]
enum WritePath {
    /// Directly, bypassing the page cache.
    Direct(Box<DirectWriter>),
    /// Through the page cache, if the file system has no direct writes.
    Behind(WriteBehind),
}

impl FileSink {
    /// Writes to `file`, which must be empty and in `folder`.
    ///
    /// # Errors
    /// If the file descriptor cannot be duplicated, or the write-behind thread cannot be
    /// started.
    pub fn new(file: File, folder: &Path) -> io::Result<Self> {
        let path = match DirectWriter::new(&file) {
            Some(direct) => WritePath::Direct(Box::new(direct)),
            None => WritePath::Behind(WriteBehind::new(&file)?),
        };
        Ok(Self::with(file, folder, path))
    }

    fn with(file: File, folder: &Path, path: WritePath) -> Self {
        Self {
            file,
            position: 0,
            folder: folder.to_path_buf(),
            path,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.path {
            WritePath::Direct(direct) => direct.finish(),
            WritePath::Behind(behind) => behind.finish(),
        }
    }
}

impl Sink for FileSink {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.position + len_bytes(bytes);
        match &mut self.path {
            WritePath::Direct(direct) => direct.bytes(self.position, bytes)?,
            WritePath::Behind(behind) => {
                self.file.write_all_at(bytes, self.position)?;
                behind.advance(end)?;
            }
        }
        self.position = end;
        Ok(())
    }

    fn shared(&mut self, bytes: &Bytes) -> io::Result<()> {
        if let WritePath::Direct(direct) = &mut self.path {
            direct.shared(self.position, bytes)?;
            self.position += len_bytes(bytes);
            return Ok(());
        }
        self.bytes(bytes)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        let end = self.position.checked_add(len);
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if let WritePath::Direct(direct) = &mut self.path {
            direct.zeros(self.position, len)?;
        }
        self.position = end;
        Ok(())
    }

    fn has_free_holes(&self) -> bool {
        // Not with the file itself: writes to it are under way.
        unnamed_file(&self.folder).is_ok_and(|file| has_holes(&file).unwrap_or(false))
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        // A hole at the end exists only once the file has its length.
        self.file.set_len(self.position)?;
        self.file.sync_all()?;
        drop_cache(&self.file, 0, self.position);
        Ok(())
    }

    fn abandon(&mut self) {
        // The error that led here is the one to report. What did not reach the file must
        // not be zero in it.
        if self.flush().is_ok() {
            let _ = self.file.set_len(self.position);
        }
        let _ = self.file.sync_all();
    }
}

/// Whether a hole in `file`, which is empty, takes no space. Measured with one, as the file system's name does not tell: those of USB sticks and some that are served
/// by programs or networks fill holes with zeros.
fn has_holes(file: &File) -> io::Result<bool> {
    const HOLE: u64 = 4 << 20;
    /// What st_blocks counts.
    const BLOCK: u64 = 512;
    let written = file.write_all_at(&[1], HOLE);
    // File systems allocate late.
    let space = written
        .and_then(|()| file.sync_data())
        .and_then(|()| file.metadata());
    Ok(space?.blocks() * BLOCK < HOLE / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached_sink(file: File, folder: &Path) -> FileSink {
        let path = WritePath::Behind(WriteBehind::new(&file).unwrap());
        FileSink::with(file, folder, path)
    }

    /// Both ways of writing to a new file in `folder`.
    fn sinks(folder: &Path) -> [(File, FileSink); 2] {
        let create = |name: &str| {
            let mut options = File::options();
            options.read(true).write(true).create_new(true);
            options.open(folder.join(name)).unwrap()
        };
        let (direct, cached) = (create("direct"), create("cached"));
        let sink = FileSink::new(direct.try_clone().unwrap(), folder).unwrap();
        let other = cached_sink(cached.try_clone().unwrap(), folder);
        [(direct, sink), (cached, other)]
    }

    #[test]
    fn zeros_become_holes_and_the_length_counts_them() {
        let folder = tempfile::tempdir().unwrap();
        for (file, mut sink) in sinks(folder.path()) {
            sink.bytes(&[1; 4096]).unwrap();
            sink.zeros(32 << 20).unwrap();
            sink.bytes(&[2; 4096]).unwrap();
            sink.zeros(1 << 20).unwrap();
            sink.finish().unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!(metadata.len(), (33 << 20) + 8192);
            assert!(metadata.blocks() * 512 < 1 << 20, "no hole was made");
            let mut bytes = vec![0xaa; (33 << 20) + 8192];
            file.read_exact_at(&mut bytes, 0).unwrap();
            assert!(bytes[4096..4096 + (32 << 20)].iter().all(|&byte| byte == 0));
            assert_eq!(bytes[4096 + (32 << 20)], 2);
        }
    }

    /// Pieces of any length, and holes at any place, some of them never written.
    #[test]
    fn what_arrives_is_what_was_sent() {
        let folder = tempfile::tempdir().unwrap();
        for (file, mut sink) in sinks(folder.path()) {
            let mut sent = Vec::new();
            let mut state = 7_u64;
            for step in 0..400 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let len = usize::try_from(match step % 4 {
                    0 => state >> 57,
                    1 => 4096 * (state >> 61),
                    2 => state >> 47,
                    _ => 32,
                })
                .unwrap();
                if state >> 33 & 1 == 0 {
                    sink.zeros(u64::try_from(len).unwrap()).unwrap();
                    sent.resize(sent.len() + len, 0);
                } else {
                    let piece = vec![u8::try_from(step & 0xff).unwrap() | 1; len];
                    sink.bytes(&piece).unwrap();
                    sent.extend_from_slice(&piece);
                }
                assert_eq!(sink.position(), u64::try_from(sent.len()).unwrap());
            }
            sink.finish().unwrap();
            let mut found = vec![0; sent.len()];
            file.read_exact_at(&mut found, 0).unwrap();
            assert!(found == sent);
            assert_eq!(file.metadata().unwrap().len(), sink.position());
        }
    }

    #[test]
    fn holes_are_measured_while_writes_are_under_way() {
        let folder = tempfile::tempdir().unwrap();
        for (file, mut sink) in sinks(folder.path()) {
            let bytes = vec![1; 8 << 20];
            sink.bytes(&bytes).unwrap();
            assert!(sink.has_free_holes());
            sink.finish().unwrap();
            let mut written = vec![0; bytes.len()];
            file.read_exact_at(&mut written, 0).unwrap();
            assert!(written == bytes);
            assert_eq!(file.metadata().unwrap().len(), 8 << 20);
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }

    /// Where nothing can be measured, a hole may cost as much as bytes.
    #[test]
    fn a_file_that_cannot_grow_has_no_free_holes() {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        let file = File::from(memfd_create("a", MemfdFlags::ALLOW_SEALING).unwrap());
        assert!(has_holes(&file).unwrap());
        file.set_len(0).unwrap();
        fcntl_add_seals(&file, SealFlags::GROW).unwrap();
        assert!(has_holes(&file).is_err());
        let sink = cached_sink(file, Path::new("/nonexistent"));
        assert!(!sink.has_free_holes());
    }
}
