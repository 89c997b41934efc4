// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in a file, or was encrypted into it.

use crate::Reading;
use crate::section::Section;
use linpmem_encryption::{DETECT_BYTES, Detected, EncryptedFile, OpenError, detect};
use linpmem_formats::{FileSource, ReadAt};
use linpmem_manifest::{Beginning, Manifest, ReadError, Reader};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a manifest that are read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// The content of an encrypted file.
struct Decrypted(EncryptedFile);

impl Reading {
    /// The content of the file at `path`. If it is encrypted, that is what was encrypted, which
    /// exists in memory only.
    ///
    /// # Errors
    /// If it cannot be opened, is neither a regular file nor a block device, or is encrypted to
    /// others.
    pub fn content(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        Ok(self.content_and_stored(path)?.0)
    }

    /// The same, and the file as it is on the disk.
    ///
    /// # Errors
    /// As [`content`](Self::content).
    pub(crate) fn content_and_stored(
        &self,
        path: &Path,
    ) -> io::Result<(Arc<dyn ReadAt>, Arc<dyn ReadAt>)> {
        let stored = Arc::new(FileSource::open(path)?);
        let content: Arc<dyn ReadAt> = match encryption(&stored)? {
            None => stored.clone(),
            Some(Detected::Armored) => return Err(OpenError::Armored.into()),
            Some(Detected::Age) => {
                let file = stored.file().try_clone()?;
                Arc::new(Decrypted(EncryptedFile::open(file, &self.identities)?))
            }
        };
        Ok((content, stored))
    }

    /// The lines of the manifest at `path`.
    ///
    /// # Errors
    /// As [`content`](Self::content).
    pub fn manifest_lines(
        &self,
        path: &Path,
    ) -> Result<Reader<impl io::BufRead + use<>>, ReadError> {
        let content = self.content(path).map_err(|source| ReadError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        let lines = BufReader::with_capacity(BUFFER_BYTES, Section::whole(content));
        Ok(Reader::new(lines, path))
    }

    /// The manifest at `path`.
    ///
    /// # Errors
    /// As [`content`](Self::content), or if it is truncated or damaged, or has another version.
    pub fn manifest(&self, path: &Path) -> Result<Manifest, ReadError> {
        Manifest::collect(self.manifest_lines(path)?)
    }

    /// The manifest at `path`, as far as it goes.
    ///
    /// # Errors
    /// As [`content`](Self::content), or if not even its first line can be read.
    pub fn beginning(&self, path: &Path) -> Result<Beginning, ReadError> {
        Beginning::collect(self.manifest_lines(path)?)
    }
}

/// Whether the file at `path` is encrypted.
///
/// # Errors
/// If it cannot be read.
pub fn is_encrypted(path: &Path) -> io::Result<bool> {
    Ok(encryption(&FileSource::open(path)?)?.is_some())
}

fn encryption(file: &FileSource) -> io::Result<Option<Detected>> {
    let len = u64_as_usize(file.len().min(usize_as_u64(DETECT_BYTES)));
    let mut head = vec![0; len];
    file.read_exact_at(0, &mut head)?;
    Ok(detect(&head))
}

impl ReadAt for Decrypted {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(offset, buf)
    }

    fn ends_early(&self) -> bool {
        self.0.is_cut()
    }
}
