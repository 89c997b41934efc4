// SPDX-License-Identifier: MIT OR Apache-2.0
//! Artifacts as files. They are in archives that are read from the beginning only, so that a
//! piece of a file is kept when it was read.

use crate::kept::Kept;
use linpmem_phys::Errno;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of an artifact that are read at a time: all of most of them.
const PIECE: u64 = 16 << 20;
/// Bytes that are kept.
const ROOM: usize = u64_as_usize(4 * PIECE);

/// An artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Its name, with the folders that it is in.
    pub name: String,
    /// Bytes, if that is known.
    pub size: Option<u64>,
}

/// Reads artifacts.
pub trait ReadArtifact: Send + Sync {
    /// At most `len` bytes of the artifact `name`, from `at` on; fewer only where it ends.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Vec<u8>>;
}

/// The artifacts of an image.
pub(crate) struct ArtifactFiles {
    files: Vec<ArtifactFile>,
    reader: Box<dyn ReadArtifact>,
    /// Pieces, by the file and the number of the piece. Who reads waits for the others: several
    /// at once would unpack the same bytes.
    kept: Mutex<Pieces>,
}

type Pieces = Kept<(usize, u64), Arc<Vec<u8>>>;

impl ArtifactFiles {
    pub(crate) const fn new(files: Vec<ArtifactFile>, reader: Box<dyn ReadArtifact>) -> Self {
        Self {
            files,
            reader,
            kept: Mutex::new(Kept::new(ROOM)),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&ArtifactFile> {
        self.files.get(index)
    }

    pub(crate) fn read(&self, index: usize, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        let mut rest = buf;
        while !rest.is_empty() {
            let at = at.saturating_add(usize_as_u64(done));
            let piece = self.piece(index, at / PIECE)?;
            let len = crate::part::copy(&piece, at % PIECE, rest);
            if len == 0 {
                break;
            }
            done += len;
            let (_, tail) = rest.split_at_mut(len);
            rest = tail;
        }
        Ok(done)
    }

    fn piece(&self, index: usize, number: u64) -> Result<Arc<Vec<u8>>, Errno> {
        let file = self.files.get(index).ok_or(Errno::ENOENT)?;
        let start = number.checked_mul(PIECE).ok_or(Errno::EINVAL)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = kept.get(&(index, number)) {
            return Ok(piece);
        }
        // Nobody unpacks a whole archive to learn that a file ended before.
        if file.size.is_some_and(|size| start >= size) {
            return Ok(Arc::default());
        }
        let read = self.reader.read(&file.name, start, u64_as_usize(PIECE));
        let piece = Arc::new(read.map_err(|_| Errno::EIO)?);
        kept.put((index, number), Arc::clone(&piece), piece.len());
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Every byte is its offset divided by 1 MiB.
    struct Counting(Arc<AtomicUsize>, u64);

    impl ReadArtifact for Counting {
        fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Vec<u8>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if name == "broken" {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let end = self.1.min(at + usize_as_u64(len));
            Ok((at..end).map(|at| (at >> 20) as u8).collect())
        }
    }

    #[test]
    fn pieces_are_read_once_and_a_file_ends_where_it_ends() {
        let reads = Arc::new(AtomicUsize::new(0));
        let size = 40 << 20;
        let file = |name: &str, size| ArtifactFile {
            name: name.to_owned(),
            size,
        };
        let files = vec![
            file("known", Some(size)),
            file("unknown", None),
            file("broken", None),
        ];
        let files = ArtifactFiles::new(files, Box::new(Counting(Arc::clone(&reads), size)));
        let mut buf = [0; 10];
        for index in [0, 1] {
            assert_eq!(files.read(index, (16 << 20) - 4, &mut buf), Ok(10));
            assert_eq!(buf, [15, 15, 15, 15, 16, 16, 16, 16, 16, 16]);
            assert_eq!(files.read(index, size - 3, &mut buf), Ok(3));
            assert_eq!(files.read(index, size + 3, &mut buf), Ok(0));
            assert_eq!(reads.load(Ordering::Relaxed), 3 * (index + 1));
        }
        assert_eq!(files.read(2, 0, &mut buf), Err(Errno::EIO));
        assert_eq!(files.read(3, 0, &mut buf), Err(Errno::ENOENT));
    }
}
