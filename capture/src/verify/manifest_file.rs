// SPDX-License-Identifier: MIT OR Apache-2.0
//! A manifest that is read several times: once as a whole, and then chunk by chunk by
//! several threads, none of which holds more than a line.

use super::VerifyError;
use super::layout::{LayoutError, Places};
use crate::artifacts::{MANIFEST, Section};
use linpmem_formats::{FileSource, ReadAt, aff4};
use linpmem_manifest::{Chunks, Manifest, ReadError, Reader};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A manifest that stays open.
pub struct ManifestFile {
    path: PathBuf,
    bytes: Arc<dyn ReadAt>,
    manifest: Manifest,
}

impl ManifestFile {
    /// Opens the manifest at `path`.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = FileSource::open(path).map_err(|source| ReadError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Self::new(path.to_path_buf(), Arc::new(file))
    }

    /// The manifest inside `volume`, the image at `path`, if there is one.
    pub fn embedded(volume: &aff4::Reader, path: &Path) -> Result<Option<Self>, VerifyError> {
        let files = volume.files();
        let is_manifest = |name: &str| name.trim_start_matches('/') == MANIFEST;
        let Some(file) = files.iter().find(|file| is_manifest(&file.path)) else {
            return Ok(None);
        };
        let bytes = volume
            .open_file(&file.urn)
            .map_err(|source| VerifyError::Aff4 {
                path: path.to_path_buf(),
                source,
            })?;
        Ok(Some(Self::new(path.join(MANIFEST), bytes)?))
    }

    fn new(path: PathBuf, bytes: Arc<dyn ReadAt>) -> Result<Self, ReadError> {
        let manifest = Manifest::collect(Reader::new(input(&bytes), &path))?;
        Ok(Self {
            path,
            bytes,
            manifest,
        })
    }

    /// What it says, apart from its chunks.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A manifest inside an image does not know the image's length, which is `length`.
    pub fn set_image_length(&mut self, length: u64) {
        self.manifest.footer.file.length = length;
    }

    /// Its chunks and where they are, read from its beginning.
    pub fn places(&self) -> Places<'_> {
        let reader = Reader::new(input(&self.bytes), &self.path);
        Places::new(self, Chunks::new(reader))
    }

    /// The manifest and, if it is known, the line where it contradicts itself.
    pub fn contradiction(&self, line: Option<u64>, source: LayoutError) -> VerifyError {
        VerifyError::Layout {
            path: match line {
                Some(line) => format!("{}, line {line}", self.path.display()),
                None => self.path.display().to_string(),
            },
            source,
        }
    }
}

fn input(bytes: &Arc<dyn ReadAt>) -> BufReader<Section> {
    BufReader::with_capacity(BUFFER_BYTES, Section::whole(Arc::clone(bytes)))
}
