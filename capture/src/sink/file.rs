// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file, with holes where memory is zero.

use super::Sink;
use super::behind::{WriteBehind, drop_cache};
use super::direct::DirectWriter;
use bytes::Bytes;
use linpmem_phys::num::len_bytes;
use rustix::fs::fstatfs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Writes to a new, empty regular file.
#[derive(Debug)]
pub struct FileSink {
    file: File,
    position: u64,
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
    /// Writes to `file`, which must be empty.
    ///
    /// # Errors
    /// If the file descriptor cannot be duplicated, or the write-behind thread cannot be
    /// started.
    pub fn new(file: File) -> io::Result<Self> {
        match DirectWriter::new(&file) {
            Some(direct) => Ok(Self {
                path: WritePath::Direct(Box::new(direct)),
                file,
                position: 0,
            }),
            None => Self::cached(file),
        }
    }

    fn cached(file: File) -> io::Result<Self> {
        Ok(Self {
            path: WritePath::Behind(WriteBehind::new(&file)?),
            file,
            position: 0,
        })
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
        // MSDOS_SUPER_MAGIC and EXFAT_SUPER_MAGIC of include/uapi/linux/magic.h: USB sticks
        // often have these file systems, which have no holes.
        const WITHOUT: [i64; 2] = [0x4d44, 0x2011_bab0];
        fstatfs(&self.file).is_ok_and(|system| !WITHOUT.contains(&system.f_type))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// Both ways of writing to a new file in `folder`.
    fn sinks(folder: &Path) -> [(File, FileSink); 2] {
        let create = |name: &str| {
            let mut options = File::options();
            options.read(true).write(true).create_new(true);
            options.open(folder.join(name)).unwrap()
        };
        let (direct, cached) = (create("direct"), create("cached"));
        let sink = FileSink::new(direct.try_clone().unwrap()).unwrap();
        let other = FileSink::cached(cached.try_clone().unwrap()).unwrap();
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
}
