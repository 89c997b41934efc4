// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files for a volume, read when they are written and not held before.

use super::HashAlgorithm;
use super::digest::Digest;
use super::zip::ZipStream;
use crate::{ImageOutput, WriteError};
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

/// A file beside the memory.
#[derive(Clone)]
pub struct File {
    pub(super) path: String,
    content: Arc<dyn Content>,
}

/// The content of a file, which is read twice: the volume tells its length and its
/// checksum before its bytes.
pub trait Content: Send + Sync {
    /// The bytes from the first on; the same at each call. It is asked for them when
    /// the memory is written, and not before.
    ///
    /// # Errors
    /// The system's.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

/// What is known of a file when it is in the volume.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: String,
    pub(super) len: u64,
    pub(super) sha256: Digest,
}

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 << 10;

impl File {
    /// The file that is at `path` on the machine.
    pub fn new(path: impl Into<String>, content: impl Content + 'static) -> Self {
        Self {
            path: path.into(),
            content: Arc::new(content),
        }
    }

    /// Writes it as the member `name`.
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
            len = len.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            crc.update(bytes);
            sha256.update(bytes);
        }
        let crc = crc.finalize();
        zip.begin_member(name, len, crc, out)?;
        let mut again = crc32fast::Hasher::new();
        let mut left = len;
        let mut content = self.content.open().map_err(failed)?.take(len);
        while let Some(bytes) = next_piece(&mut content, &mut piece).map_err(failed)? {
            left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            again.update(bytes);
            out.bytes(bytes)?;
        }
        if left > 0 || again.finalize() != crc {
            return Err(failed(io::Error::other(
                "it is not what it was a moment before",
            )));
        }
        Ok(Written {
            path: self.path.clone(),
            len,
            sha256: sha256.finish(),
        })
    }
}

/// What `content` gives next, read into `piece`.
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
