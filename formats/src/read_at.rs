// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random access to bytes.

use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use rustix::fs::seek;
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// A fixed number of bytes that several threads can read at any offset: a file, a
/// slice, the content of a compressed file.
pub trait ReadAt: Send + Sync {
    /// The number of bytes.
    fn len(&self) -> u64;

    /// Whether the number of bytes is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes that are really stored: fewer than there are where a file is
    /// compressed or has holes.
    fn stored_bytes(&self) -> u64 {
        self.len()
    }

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the bytes end before `buf` is full, or the underlying
    /// error. The content of `buf` is unspecified then.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// How many bytes from `offset` on are zero because no disk space was ever given to them,
    /// as far as that is known.
    fn hole(&self, offset: u64) -> u64 {
        let _ = offset;
        0
    }

    /// Whether the bytes are the beginning of something longer, such as the content of a
    /// compressed file that was cut off.
    fn ends_early(&self) -> bool {
        false
    }
}

/// A file or block device, with the length that it had when it was opened.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    len: u64,
    stored_bytes: u64,
}

/// Size of the blocks that `stat` counts.
const STAT_BLOCK_BYTES: u64 = 512;

impl FileSource {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// If it cannot be opened, or is neither a regular file nor a block device: a
    /// pipe has no offsets.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Checked before opening, since opening a pipe waits for its other end.
        let kind = fs::metadata(path)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file or a block device, so it cannot be read at random",
            ));
        }
        Self::new(File::open(path)?)
    }

    /// Reads from an open file.
    ///
    /// # Errors
    /// If its length cannot be determined.
    pub fn new(mut file: File) -> io::Result<Self> {
        // The metadata of a block device has no length.
        let len = file.seek(SeekFrom::End(0))?;
        let metadata = file.metadata()?;
        // Blocks count for regular files only, and may be more than the file needs.
        let stored = metadata.blocks().checked_mul(STAT_BLOCK_BYTES);
        let stored_bytes = match stored {
            Some(stored) if metadata.is_file() => stored.min(len),
            _ => len,
        };
        Ok(Self {
            file,
            len,
            stored_bytes,
        })
    }
}

impl FileSource {
    /// The file.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

impl ReadAt for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    fn hole(&self, offset: u64) -> u64 {
        // Every hole makes a file smaller.
        if self.stored_bytes == self.len || offset >= self.len {
            return 0;
        }
        // No read depends on the position of the file.
        match seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => data.min(self.len).saturating_sub(offset),
            // There is nothing but a hole up to the end, which is still where it was?
            Err(Errno::NXIO) => match self.file.metadata() {
                Ok(metadata) if metadata.len() >= self.len => self.len - offset,
                _ => 0,
            },
            Err(_) => 0,
        }
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match offset.checked_add(usize_as_u64(buf.len())) {
            Some(end) if end <= self.len => FileExt::read_exact_at(&self.file, buf, offset),
            // The kernel would report a very large offset as an invalid argument.
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        usize_as_u64(<[u8]>::len(self))
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = u64_as_usize(offset);
        let source = start
            .checked_add(buf.len())
            .and_then(|end| self.get(start..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(source);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        ReadAt::len(self.as_slice())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        ReadAt::read_exact_at(self.as_slice(), offset, buf)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn stored_bytes(&self) -> u64 {
        (**self).stored_bytes()
    }

    fn hole(&self, offset: u64) -> u64 {
        (**self).hole(offset)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }

    fn ends_early(&self) -> bool {
        (**self).ends_early()
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn stored_bytes(&self) -> u64 {
        (**self).stored_bytes()
    }

    fn hole(&self, offset: u64) -> u64 {
        (**self).hole(offset)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }

    fn ends_early(&self) -> bool {
        (**self).ends_early()
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn stored_bytes(&self) -> u64 {
        (**self).stored_bytes()
    }

    fn hole(&self, offset: u64) -> u64 {
        (**self).hole(offset)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }

    fn ends_early(&self) -> bool {
        (**self).ends_early()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_slice_and_a_file_end_at_the_same_byte() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let file = FileSource::new(file).unwrap();
        let sources: [&dyn ReadAt; 2] = [&bytes, &file];
        for source in sources {
            assert_eq!(source.len(), 100);
            let mut buf = [0; 10];
            source.read_exact_at(90, &mut buf).unwrap();
            assert_eq!(buf, bytes[90..]);
            for offset in [91, 100, 101, u64::MAX >> 1] {
                let error = source.read_exact_at(offset, &mut buf).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{offset}");
            }
        }
    }

    #[test]
    fn holes_are_known_up_to_the_next_data() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 0x1_0000]).unwrap();
        file.seek(SeekFrom::Start(64 << 20)).unwrap();
        file.write_all(&[1]).unwrap();
        file.set_len(256 << 20).unwrap();
        let other = file.try_clone().unwrap();
        let file = Arc::new(FileSource::new(file).unwrap());
        assert_eq!(file.hole(0), 0);
        assert_eq!(file.hole(1 << 20), 63 << 20);
        assert_eq!(file.hole(64 << 20), 0);
        assert_eq!(file.hole(255 << 20), 1 << 20);
        assert_eq!(file.hole(256 << 20), 0);
        assert_eq!(file.hole(u64::MAX), 0);
        // What was cut off is missing, not zero.
        other.set_len(128 << 20).unwrap();
        assert_eq!(file.hole(200 << 20), 0);
    }

    #[test]
    fn a_directory_is_not_an_image() {
        let error = FileSource::open(Path::new("/")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
