// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file, sparse where the memory is zero.

use super::Sink;
use super::behind::{WriteBehind, drop_cache};
use crate::measure::len_bytes;
use rustix::fs::fstatfs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Writes to a new, empty regular file.
#[derive(Debug)]
pub struct FileSink {
    file: File,
    position: u64,
    behind: WriteBehind,
}

impl FileSink {
    /// Writes to `file`, which must be empty.
    ///
    /// # Errors
    /// If the file descriptor or the write-behind thread cannot be had.
    pub fn new(file: File) -> io::Result<Self> {
        Ok(Self {
            behind: WriteBehind::new(&file)?,
            file,
            position: 0,
        })
    }
}

impl Sink for FileSink {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.position)?;
        self.position = self.position.saturating_add(len_bytes(bytes));
        self.behind.advance(self.position)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.position = self
            .position
            .checked_add(len)
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(())
    }

    fn has_free_holes(&self) -> bool {
        // MSDOS_SUPER_MAGIC and EXFAT_SUPER_MAGIC of include/uapi/linux/magic.h: what
        // sticks are formatted with, and every byte is written there.
        const WITHOUT: [i64; 2] = [0x4d44, 0x2011_bab0];
        fstatfs(&self.file).is_ok_and(|system| !WITHOUT.contains(&system.f_type))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.behind.finish()?;
        // A hole at the end is only there once the length says so.
        self.file.set_len(self.position)?;
        self.file.sync_all()?;
        drop_cache(&self.file, 0, self.position);
        Ok(())
    }

    fn abandon(&mut self) {
        // The error that brought this about is the one to tell.
        let _ = self.behind.finish();
        let _ = self.file.set_len(self.position);
        let _ = self.file.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn zeros_become_holes_and_the_length_counts_them() {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        let mut sink = FileSink::new(named.reopen().unwrap()).unwrap();
        sink.bytes(&[1; 4096]).unwrap();
        sink.zeros(32 << 20).unwrap();
        sink.bytes(&[2; 4096]).unwrap();
        sink.zeros(1 << 20).unwrap();
        sink.finish().unwrap();
        let metadata = named.as_file().metadata().unwrap();
        assert_eq!(metadata.len(), (33 << 20) + 8192);
        assert!(metadata.blocks() * 512 < 1 << 20, "no hole was made");
        let mut bytes = Vec::new();
        named.read_to_end(&mut bytes).unwrap();
        assert!(bytes[4096..4096 + (32 << 20)].iter().all(|&byte| byte == 0));
        assert_eq!(bytes[4096 + (32 << 20)], 2);
    }
}
