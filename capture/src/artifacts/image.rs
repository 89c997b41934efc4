// SPDX-License-Identifier: MIT OR Apache-2.0
//! The artifacts of an image: inside of it (ELF, AFF4) or in a file next to it.

use super::archive::Archive;
use super::store::{Entry, Store, missing};
use super::{Artifacts, ArtifactsError, VMCOREINFO};
use crate::Reading;
use crate::section::Section;
use crate::source::read_aff4;
use linpmem_formats::{
    DETECT_BYTES, Detected, Format, OpenError, ReadAt, aff4, detect, elf, open_content_within,
};
use linpmem_manifest::paths::{
    artifacts_of, decrypted_of, encrypted_of, is_encrypted_name, manifest_of,
};
use linpmem_manifest::{ReadError, Record};
use linpmem_phys::num::usize_as_u64;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Artifacts {
    /// The artifacts of the image at `path`, which may also be the file with the
    /// artifacts. `None` if it has none.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what it should be.
    pub fn of_image(path: &Path) -> Result<Option<Self>, ArtifactsError> {
        Self::read(path, &Reading::default())
    }

    /// As [`of_image`](Self::of_image), as `reading` says.
    ///
    /// # Errors
    /// As [`of_image`](Self::of_image), or if they need more than the budget.
    pub fn read(path: &Path, reading: &Reading) -> Result<Option<Self>, ArtifactsError> {
        let aff4 = read_aff4(path, reading).map_err(|source| ArtifactsError::Aff4 {
            path: path.to_path_buf(),
            source,
        })?;
        if let Some(image) = aff4 {
            let volume = Volume::new(image);
            return Ok((!volume.entries().is_empty()).then(|| Self::of(volume)));
        }
        if let Some(archive) = in_note(path, reading)? {
            return Ok(Some(Self::of(archive)));
        }
        if let Some(file) = artifacts_file(path, reading) {
            return open_archive(&file, reading).map(|archive| Some(Self::of(archive)));
        }
        let is_archive = decrypted_of(path).to_string_lossy().ends_with(".tar.zst");
        is_archive
            .then(|| open_archive(path, reading).map(Self::of))
            .transpose()
    }
}

/// The archive in a note of an ELF core.
fn in_note(path: &Path, reading: &Reading) -> Result<Option<Archive>, ArtifactsError> {
    // Why a file cannot be opened as an image, its reader will say.
    let content = reading.content(path).map_err(OpenError::from);
    let content = content.and_then(|content| open_content_within(content, &reading.budget));
    let Ok(image) = content else {
        return Ok(None);
    };
    let failed = |source| ArtifactsError::Open {
        path: path.to_path_buf(),
        source,
    };
    let mut head = Vec::new();
    Section::whole(Arc::clone(&image.bytes))
        .take(usize_as_u64(DETECT_BYTES))
        .read_to_end(&mut head)
        .map_err(failed)?;
    if detect(&head) != Some(Detected::Image(Format::Elf)) {
        return Ok(None);
    }
    let Ok(elf) = elf::Reader::new(Arc::clone(&image.bytes)) else {
        return Ok(None);
    };
    elf.artifacts()
        .map(|(offset, len)| {
            Archive::open(image.bytes, offset, len, &reading.budget).map_err(failed)
        })
        .transpose()
}

fn open_archive(path: &Path, reading: &Reading) -> Result<Archive, ArtifactsError> {
    let failed = |source| ArtifactsError::Open {
        path: path.to_path_buf(),
        source,
    };
    let file = reading.content(path).map_err(failed)?;
    let len = file.len();
    Archive::open(file, 0, len, &reading.budget).map_err(failed)
}

/// The file with the artifacts of the image at `path`, if it exists: the one that the
/// manifest names, or without a manifest the one with the image's name.
pub(super) fn artifacts_file(path: &Path, reading: &Reading) -> Option<PathBuf> {
    let default = artifacts_of(path);
    let named = match named_in_manifest(&manifest_of(path), reading) {
        Ok(Some(name)) => beside(path, &name),
        Ok(None) => return None,
        Err(_) => default.clone(),
    };
    // After an unfinished run the manifest has the final name, and the file does not.
    [named, default].into_iter().find(|path| path.exists())
}

/// The file `name` next to the image at `path`. The manifest has names as they are when
/// everything is decrypted.
pub(super) fn beside(path: &Path, name: &str) -> PathBuf {
    let named = path.with_file_name(name);
    match is_encrypted_name(path) {
        true => encrypted_of(&named),
        false => named,
    }
}

/// The file name in the header of the manifest at `path`, whatever else of it is
/// damaged. A name that leads to another folder is ignored.
fn named_in_manifest(path: &Path, reading: &Reading) -> Result<Option<String>, ReadError> {
    let header = match reading.manifest_lines(path)?.next().transpose()? {
        Some(Record::Header(header)) => header,
        _ => return Ok(None),
    };
    let early = header.artifacts.and_then(|artifacts| artifacts.file);
    let name = early.or(header.artifacts_file);
    Ok(name.filter(|name| is_plain_name(name)))
}

/// Whether `name` leads to no other folder.
fn is_plain_name(name: &str) -> bool {
    !name.contains('/') && !["", ".", ".."].contains(&name)
}

/// The file `name` in the folder of `image`; `None` if the name leads elsewhere.
pub(crate) fn artifact_beside(image: &Path, name: &str) -> Option<PathBuf> {
    is_plain_name(name).then(|| image.with_file_name(name))
}

/// The name that the writer of AFF4 images gives to [`VMCOREINFO`].
const VMCOREINFO_IN_VOLUME: &str = "vmcoreinfo";

/// The files in an AFF4 volume.
#[derive(Debug)]
struct Volume {
    image: aff4::Reader,
    entries: Vec<Entry>,
    urns: Vec<String>,
}

impl Volume {
    fn new(image: aff4::Reader) -> Self {
        let (mut entries, mut urns) = (Vec::new(), Vec::new());
        for file in image.files() {
            entries.push(Entry {
                name: match file.path.trim_start_matches('/') {
                    VMCOREINFO_IN_VOLUME => VMCOREINFO.to_owned(),
                    name => name.to_owned(),
                },
                length: file.bytes,
            });
            urns.push(file.urn.clone());
        }
        Self {
            image,
            entries,
            urns,
        }
    }
}

impl Store for Volume {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError> {
        Ok(Box::new(Section::whole(self.file(name)?)))
    }

    fn at(&self, name: &str) -> Result<Option<Arc<dyn ReadAt>>, ArtifactsError> {
        self.file(name).map(Some)
    }
}

impl Volume {
    fn file(&self, name: &str) -> Result<Arc<dyn ReadAt>, ArtifactsError> {
        let mut files = self.entries.iter().zip(&self.urns);
        let (_, urn) = files
            .find(|(entry, _)| entry.name == name)
            .ok_or_else(|| missing(name, "the volume has no such file"))?;
        let bytes = self.image.open_file(urn);
        bytes.map_err(|source| ArtifactsError::Aff4 {
            path: PathBuf::from(name),
            source,
        })
    }
}
