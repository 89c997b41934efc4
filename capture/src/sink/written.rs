// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading what was just written, past the page cache.
//!
//! What the page cache still has of a file says nothing about the disk, and reading through
//! it would fill free pages, as writing through it does.

use super::behind::drop_cache;
use linpmem_manifest::ReadBackWay;
use linpmem_phys::PageBuffer;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use rustix::fs::{Advice, Mode, OFlags, fadvise};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Offsets and lengths of direct reads are multiples of this. No disk has larger blocks.
const BLOCK_BYTES: u64 = 4096;

/// Bytes that are read through the page cache before they are dropped from it.
const WINDOW_BYTES: u64 = 8 << 20;

/// A file that is on the disk.
#[derive(Debug)]
pub struct WrittenFile {
    plain: File,
    direct: Option<File>,
    /// Where the part begins that was read through the page cache and not dropped yet.
    cached_from: u64,
}

impl WrittenFile {
    /// The most bytes besides those that are asked for that a buffer has to hold.
    pub const MARGIN: usize = 8192;

    /// The file that `file` was written through.
    ///
    /// # Errors
    /// If it cannot be opened again.
    pub fn new(file: &File) -> io::Result<Self> {
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let open = |flags| rustix::fs::open(&own, flags | OFlags::CLOEXEC, Mode::empty());
        Ok(Self {
            // A file description of its own: reading ahead is off for it.
            plain: file.try_clone()?,
            direct: open(OFlags::RDONLY | OFlags::DIRECT).ok().map(File::from),
            cached_from: 0,
        })
    }

    /// How it is read.
    #[must_use]
    pub const fn way(&self) -> ReadBackWay {
        match self.direct {
            Some(_) => ReadBackWay::Direct,
            None => ReadBackWay::Cached,
        }
    }

    /// The file as it was opened.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.plain
    }

    /// Reads `len` bytes at `offset` into `buffer`, which needs room for [`Self::MARGIN`] more, and
    /// returns where in it they are. Each call is for bytes after those of the one before.
    ///
    /// # Errors
    /// The system's, and if the file ends before.
    pub fn read(
        &mut self,
        offset: u64,
        len: u64,
        buffer: &mut PageBuffer,
    ) -> io::Result<Range<usize>> {
        let end = offset
            .checked_add(len)
            .filter(|end| end.checked_next_multiple_of(BLOCK_BYTES).is_some());
        let end = end.ok_or(io::ErrorKind::InvalidInput)?;
        let begin = offset - offset % BLOCK_BYTES;
        buffer.set_len(u64_as_usize(end.next_multiple_of(BLOCK_BYTES) - begin));
        let wanted = u64_as_usize(end - begin);
        if let Some(direct) = &self.direct {
            match fill(direct, begin, wanted, buffer) {
                // It accepts the flag but not the reads.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.direct = None;
                    self.cached_from = begin;
                    let _ = fadvise(&self.plain, 0, None, Advice::DontNeed);
                }
                read => return read.map(|()| u64_as_usize(offset - begin)..wanted),
            }
        }
        fill(&self.plain, begin, wanted, buffer)?;
        if end.saturating_sub(self.cached_from) >= WINDOW_BYTES {
            drop_cache(&self.plain, self.cached_from, end);
            self.cached_from = end;
        }
        Ok(u64_as_usize(offset - begin)..wanted)
    }
}

/// Reads at least `wanted` bytes from `begin` on, a multiple of a block, into `buffer`, which
/// has whole blocks for them.
fn fill(file: &File, begin: u64, wanted: usize, buffer: &mut PageBuffer) -> io::Result<()> {
    let block = u64_as_usize(BLOCK_BYTES);
    let mut done = 0;
    while done < wanted {
        // A read that was cut short is taken up again at a border of blocks.
        let from = done - done % block;
        let (_, rest) = buffer.split_at_mut(from);
        match file.read_at(rest, begin + usize_as_u64(from)) {
            Ok(len) if from + len > done => done = from + len,
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_file_is_read_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let bytes: Vec<u8> = (0..=250).cycle().take(100_001).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        let mut buffer = PageBuffer::new(100_001 + WrittenFile::MARGIN);
        for is_direct in [true, false] {
            let mut written = WrittenFile::new(&file).unwrap();
            if !is_direct {
                written.direct = None;
            }
            for (offset, len) in [
                (0, 1),
                (1, 4095),
                (4096, 4096),
                (8191, 2),
                (9000, 90_000),
                (99_000, 1001),
            ] {
                let at = written.read(offset, len, &mut buffer).unwrap();
                let from = usize::try_from(offset).unwrap();
                let expected = &bytes[from..from + usize::try_from(len).unwrap()];
                assert_eq!(&buffer[at], expected, "{offset} {len} {is_direct}");
            }
            let error = written.read(99_000, 1002, &mut buffer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
