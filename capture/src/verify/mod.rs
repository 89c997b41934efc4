// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an image is still what its manifest says.

mod check;
mod encrypted;
mod in_store;
mod layout;
mod listed;
mod manifest_file;
mod memory;
mod remainder;
mod report;
mod side_by_side;

pub use check::{CheckError, Fault};
pub use encrypted::{EncryptedFileCheck, EncryptedFiles, NoSums};
pub use in_store::{InStore, InStoreError, verify_in_store};
pub use layout::LayoutError;
pub use report::{Damage, Report, Unverified};

use crate::Reading;
use crate::meter::Meter;
use crate::source::{ImageSourceError, read_aff4, read_known};
use check::Check;
use layout::Layout;
use linpmem_formats::{ImageReader, aff4};
use linpmem_manifest::paths::manifest_beside;
use linpmem_manifest::{ArtifactsRecord, Header, ReadError};
use manifest_file::ManifestFile;
use memory::Memory;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// An image that could not be compared with its manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No manifest.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// A manifest that contradicts itself.
    #[error("{path}: {source}")]
    Layout {
        /// The manifest, and the line if it is known.
        path: String,
        /// What is wrong with it.
        source: LayoutError,
    },
    /// An AFF4 image that cannot be read.
    #[error("{path}: {source}")]
    Aff4 {
        /// The image.
        path: PathBuf,
        /// The reason.
        source: aff4::Error,
    },
    /// An image that does not open.
    #[error("{path}: {source}")]
    Open {
        /// The image.
        path: PathBuf,
        /// The reason.
        source: ImageSourceError,
    },
    /// No image.
    #[error("{path}: {source}")]
    Image {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The comparison could not be made.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// An image, ready to be verified.
pub struct Verification {
    image: PathBuf,
    reading: Reading,
    /// The image as AFF4, if it is that: then it has hashes of its own.
    aff4: Option<aff4::Reader>,
    manifest_path: PathBuf,
    manifest: Option<ManifestFile>,
}

/// How thoroughly an image is compared.
#[derive(Clone, Copy, Debug)]
pub struct Thoroughness {
    /// Whether the file's own hashes are computed even where those of chunks and
    /// remainder cover all bytes.
    pub full: bool,
    /// Threads that hash.
    pub workers: NonZeroUsize,
}

impl Verification {
    /// Opens the image at `image` as `reading` says, and its
    /// manifest: the one named, the one next to the image, or the one inside it. Only an
    /// AFF4 image may have none.
    ///
    /// # Errors
    /// If the image or the manifest cannot be read.
    pub fn open(
        image: &Path,
        manifest: Option<&Path>,
        reading: &Reading,
    ) -> Result<Self, VerifyError> {
        let aff4 = read_aff4(image, reading).map_err(|source| VerifyError::Aff4 {
            path: image.to_path_buf(),
            source,
        })?;
        let path = match manifest {
            Some(path) => path.to_path_buf(),
            None => manifest_beside(image),
        };
        let embedded = |volume| ManifestFile::embedded(volume, image);
        let mut found = match aff4.as_ref().filter(|_| manifest.is_none()) {
            Some(volume) if !path.exists() => embedded(volume)?,
            volume => {
                let found = ManifestFile::open(&path, reading)?;
                // A run that was killed at its very end left a whole one inside.
                let whole = volume.filter(|_| found.listed().is_cut);
                let whole = whole.and_then(|volume| embedded(volume).ok().flatten());
                Some(whole.unwrap_or(found))
            }
        };
        if let Some(manifest) = found.as_mut() {
            // A manifest inside an image: everything but the hash of the file can be compared.
            let content = reading.content(image);
            let content = content.map_err(|source| VerifyError::Image {
                path: image.to_path_buf(),
                source,
            })?;
            manifest.set_image_length(content.len());
        }
        Ok(Self {
            image: image.to_path_buf(),
            reading: reading.clone(),
            aff4,
            manifest_path: path,
            manifest: found,
        })
    }

    /// The image, if it is AFF4.
    #[must_use]
    pub const fn aff4(&self) -> Option<&aff4::Reader> {
        self.aff4.as_ref()
    }

    /// The first line of the manifest, if there is one.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        Some(&self.manifest.as_ref()?.listed().header)
    }

    /// What the manifest says of the image's artifacts.
    #[must_use]
    pub fn artifacts(&self) -> Option<&ArtifactsRecord> {
        let listed = self.manifest.as_ref()?.listed();
        let early = listed.header.artifacts.as_ref();
        early.or(listed.late_artifacts.as_ref())
    }

    /// The bytes of the file of the manifest that the image is compared with, from its beginning,
    /// if it has one of its own; and its path. If it is encrypted, so are they.
    #[must_use]
    pub fn manifest_file(&self) -> Option<(&Path, impl Read + use<>)> {
        self.manifest.as_ref()?.file()
    }

    /// Whether there is a manifest that does not end before the image was whole.
    #[must_use]
    pub fn has_whole_manifest(&self) -> bool {
        let manifest = self.manifest.as_ref();
        manifest.is_some_and(|manifest| manifest.listed().footer.is_some())
    }

    /// Where the manifest is, or should be.
    #[must_use]
    pub fn manifest_path(&self) -> &Path {
        match &self.manifest {
            Some(manifest) => manifest.path(),
            None => &self.manifest_path,
        }
    }

    /// Compares the image with its manifest; `None` if there is none. `meter` counts
    /// the bytes of memory compared.
    ///
    /// # Errors
    /// If the comparison failed.
    pub fn compare(
        &self,
        thoroughness: Thoroughness,
        meter: &Meter,
    ) -> Result<Option<Report>, VerifyError> {
        let Some(manifest_file) = &self.manifest else {
            return Ok(None);
        };
        let begun = Instant::now();
        let opened;
        let reader: Option<&dyn ImageReader> = match &self.aff4 {
            Some(image) => Some(image),
            None => {
                opened = self.reader_of(manifest_file)?;
                opened.as_deref()
            }
        };
        let layout = Layout::new(manifest_file, reader.is_none())?;
        let failed = |source| VerifyError::Image {
            path: self.image.clone(),
            source,
        };
        let file = self.reading.content(&self.image).map_err(failed)?;
        let length = file.len();
        let record = layout.file_record();
        let found = Check {
            file: &*file,
            length,
            layout: &layout,
            memory: reader.map_or(Memory::InPlace, Memory::Read),
            // Without a digest of the remainder, only this covers all bytes.
            whole: record.is_some_and(|file| {
                file.sha256.is_some() && (thoroughness.full || file.sha256_remainder.is_none())
            }),
            further: thoroughness.full,
            workers: thoroughness.workers,
            meter,
        }
        .run()?;
        Ok(Some(Report::new(&layout, found, begun.elapsed())))
    }

    /// Reads the memory of images in which chunks are not in one piece.
    fn reader_of(
        &self,
        manifest: &ManifestFile,
    ) -> Result<Option<Box<dyn ImageReader>>, VerifyError> {
        let header = &manifest.listed().header;
        if !matches!(header.image.format.as_str(), "kdump" | "avml") {
            return Ok(None);
        }
        let beginning = self.reading.beginning(manifest.path())?;
        read_known(&self.image, Some(beginning), &self.reading)
            .map(Some)
            .map_err(|source| VerifyError::Open {
                path: self.image.clone(),
                source,
            })
    }
}
