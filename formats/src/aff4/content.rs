// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files to store in a volume. They are read only when they are written.

use super::HashAlgorithm;
use super::digest::Digest;
use super::zip::ZipStream;
use crate::{ImageOutput, WriteError};
use linpmem_phys::num::usize_as_u64;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

/// A file to store in a volume next to the memory.
#[derive(Clone)]
pub struct File {
    pub(super) path: String,
    content: Arc<dyn Content>,
}

/// The content of a [`File`]. It is read twice, since a volume has its length and its
/// checksum in front of its bytes.
pub trait Content: Send + Sync {
    /// Opens the content for reading from its first byte; every call must give the same
    /// bytes. Called only after all memory has been written.
    ///
    /// # Errors
    /// The underlying error.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

/// Files that do not exist yet: they are written behind the memory, if they are set by then.
#[derive(Clone, Debug, Default)]
pub struct LateFiles(Arc<OnceLock<Vec<File>>>);

impl LateFiles {
    /// Sets the files, once.
    pub fn set(&self, files: Vec<File>) {
        let _ = self.0.set(files);
    }

    /// The files, if they have been set.
    pub(super) fn get(&self) -> &[File] {
        self.0.get().map_or(&[], Vec::as_slice)
    }
}

/// What is known about a file once it is in the volume.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: String,
    pub(super) len: u64,
    pub(super) sha256: Digest,
}

/// Bytes to read at a time.
const PIECE_BYTES: usize = 256 << 10;

impl File {
    /// A file with the path `path` on the acquired machine.
    pub fn new(path: impl Into<String>, content: impl Content + 'static) -> Self {
        Self {
            path: path.into(),
            content: Arc::new(content),
        }
    }

    /// Writes the file as the member `name`.
    pub(super) fn write(
        &self,
        name: &str,
        zip: &mut ZipStream,
        out: &mut dyn ImageOutput,
    ) -> Result<Written, WriteError> {
        let failed = |source| WriteError::Attachment {
            name: self.path.clone(),
            source,
        };
        let (mut len, mut crc) = (0_u64, crc32fast::Hasher::new());
        let mut sha256 = HashAlgorithm::Sha256.hasher();
        let mut content = self.content.open().map_err(failed)?;
        let mut piece = vec![0; PIECE_BYTES];
        while let Some(bytes) = next_piece(&mut content, &mut piece).map_err(failed)? {
            len += usize_as_u64(bytes.len());
            crc.update(bytes);
            sha256.update(bytes);
        }
        let crc = crc.finalize();
        zip.begin_member(name, len, crc, out)?;
        let mut again = crc32fast::Hasher::new();
        let mut left = len;
        let mut content = self.content.open().map_err(failed)?.take(len);
        while let Some(bytes) = next_piece(&mut content, &mut piece).map_err(failed)? {
            // `take` gives no more than `len` bytes.
            left -= usize_as_u64(bytes.len());
            again.update(bytes);
            out.bytes(bytes)?;
        }
        if left > 0 || again.finalize() != crc {
            return Err(failed(io::Error::other("it changed while it was read")));
        }
        Ok(Written {
            path: self.path.clone(),
            len,
            sha256: sha256.finish(),
        })
    }
}

/// Reads the next bytes of `content` into `piece`; `None` at the end.
fn next_piece<'a>(content: &mut dyn Read, piece: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    loop {
        match content.read(piece) {
            Ok(size) => return Ok(piece.get(..size).filter(|bytes| !bytes.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Content for Vec<u8> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.as_slice()))
    }
}

impl<T: Content + ?Sized> Content for Arc<T> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        (**self).open()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("File").field(&self.path).finish()
    }
}
