// SPDX-License-Identifier: MIT OR Apache-2.0
//! A manifest that is read several times: once as a whole, and then chunk by chunk by
//! several threads, none of which holds more than a line.

use super::VerifyError;
use super::layout::{LayoutError, Places};
use super::listed::Listed;
use crate::Reading;
use crate::artifacts::MANIFEST;
use crate::section::Section;
use linpmem_formats::{ReadAt, aff4};
use linpmem_manifest::{Chunks, ReadError, Reader};
use linpmem_phys::num::{len_bytes, u64_as_usize, usize_as_u64};
use std::io::{self, BufReader, Read, Take};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// The text of a manifest.
pub type Input = BufReader<Take<Section>>;

/// A manifest that stays open.
pub struct ManifestFile {
    path: PathBuf,
    /// The file as it is on the disk; none if an image contains it.
    stored: Option<Arc<dyn ReadAt>>,
    /// What it says: the file, or what was encrypted into it.
    bytes: Arc<dyn ReadAt>,
    /// How many of them count.
    len: u64,
    listed: Listed,
}

impl ManifestFile {
    /// Opens the manifest at `path`.
    pub fn open(path: &Path, reading: &Reading) -> Result<Self, ReadError> {
        let opened = reading.content_and_stored(path);
        let (content, stored) = opened.map_err(|source| ReadError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Self::new(path.to_path_buf(), Some(stored), content)
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
        Ok(Some(Self::new(path.join(MANIFEST), None, bytes)?))
    }

    fn new(
        path: PathBuf,
        stored: Option<Arc<dyn ReadAt>>,
        bytes: Arc<dyn ReadAt>,
    ) -> Result<Self, ReadError> {
        let mut len = bytes.len();
        let read = |len| Listed::read(Reader::new(input(&bytes, len), &path));
        let listed = match read(len) {
            Err(damaged @ ReadError::Line { .. }) => {
                len = without_zeros(&bytes).map_err(|source| ReadError::Io {
                    path: path.clone(),
                    source,
                })?;
                // What follows the last line is all zero, and the rest ends early.
                let rest = Some(len).filter(|&len| len < bytes.len());
                let rest = rest.and_then(|len| read(len).ok());
                rest.filter(|listed| listed.is_cut).ok_or(damaged)?
            }
            read => read?,
        };
        Ok(Self {
            path,
            stored,
            bytes,
            len,
            listed,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is, and all bytes of the file; `None` if it is inside an image.
    pub fn file(&self) -> Option<(&Path, Section)> {
        let stored = Arc::clone(self.stored.as_ref()?);
        Some((self.path.as_path(), Section::whole(stored)))
    }

    /// What it says, apart from its chunks.
    pub const fn listed(&self) -> &Listed {
        &self.listed
    }

    /// A manifest inside an image does not know the image's length, which is `length`.
    pub fn set_image_length(&mut self, length: u64) {
        let footer = self.listed.footer.as_mut();
        if let Some(footer) = footer.filter(|footer| footer.file.length == 0) {
            footer.file.length = length;
        }
    }

    /// Its chunks and where they are, read from its beginning.
    pub fn places(&self) -> Places<'_> {
        let reader = Reader::new(input(&self.bytes, self.len), &self.path);
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

fn input(bytes: &Arc<dyn ReadAt>, len: u64) -> Input {
    let section = Section::whole(Arc::clone(bytes)).take(len);
    BufReader::with_capacity(BUFFER_BYTES, section)
}

/// How many bytes there are before those at the end that are zero. After a power cut, some file
/// systems have zeros where the latest bytes of a file were.
fn without_zeros(bytes: &dyn ReadAt) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut end = bytes.len();
    while end > 0 {
        let step = end.min(len_bytes(&buffer));
        let piece = buffer.get_mut(..u64_as_usize(step)).unwrap_or_default();
        bytes.read_exact_at(end - step, piece)?;
        if let Some(last) = piece.iter().rposition(|&byte| byte != 0) {
            return Ok(end - step + usize_as_u64(last) + 1);
        }
        end -= step;
    }
    Ok(0)
}
