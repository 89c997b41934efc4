// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the artifacts of an image is.

use super::archive::Archive;
use super::members::Members;
use super::store::Store;
use super::{Artifacts, ArtifactsError};
use crate::source::open_aff4;
use linpmem_formats::{
    DETECT_BYTES, Detected, FileSource, Format, ReadAt, detect, elf, open_bytes,
};
use linpmem_manifest::paths::{artifacts_of, manifest_of};
use linpmem_manifest::{ReadError, Reader, Record};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Artifacts {
    /// The artifacts of the image at `path`: from within it (ELF, AFF4), else from
    /// the file beside it. `path` may be such a file itself. None: it has none.
    ///
    /// # Errors
    /// If a file cannot be read, or what should be artifacts are something else.
    pub fn of_image(path: &Path) -> Result<Option<Self>, ArtifactsError> {
        let aff4 = open_aff4(path, &[]).map_err(|source| ArtifactsError::Aff4 {
            path: path.to_path_buf(),
            source,
        })?;
        if let Some(image) = aff4 {
            let members = Members::new(image);
            return Ok((!members.entries().is_empty()).then(|| Self::of(members)));
        }
        if let Some(archive) = in_note(path)? {
            return Ok(Some(Self::of(archive)));
        }
        if let Some(beside) = beside(path) {
            return opened(&beside).map(|archive| Some(Self::of(archive)));
        }
        // Perhaps it is the artifacts itself.
        let is_named_so = path.to_string_lossy().ends_with(".tar.zst");
        is_named_so.then(|| opened(path).map(Self::of)).transpose()
    }
}

/// The archive in a note of an ELF core.
fn in_note(path: &Path) -> Result<Option<Archive>, ArtifactsError> {
    // What does not open is no ELF core of ours; who reads its memory will say why.
    let Ok(image) = open_bytes(path) else {
        return Ok(None);
    };
    let mut head = [0; DETECT_BYTES];
    let size = usize::try_from(image.bytes.len()).unwrap_or(usize::MAX);
    let (start, _) = head.split_at_mut(size.min(DETECT_BYTES));
    let failed = |source| ArtifactsError::Open {
        path: path.to_path_buf(),
        source,
    };
    image.bytes.read_exact_at(0, start).map_err(failed)?;
    if detect(start) != Some(Detected::Image(Format::Elf)) {
        return Ok(None);
    }
    let Ok(elf) = elf::Reader::new(Arc::clone(&image.bytes)) else {
        return Ok(None);
    };
    elf.artifacts()
        .map(|(offset, len)| Archive::open(image.bytes, offset, len).map_err(failed))
        .transpose()
}

fn opened(path: &Path) -> Result<Archive, ArtifactsError> {
    let failed = |source| ArtifactsError::Open {
        path: path.to_path_buf(),
        source,
    };
    let file = FileSource::open(path).map_err(failed)?;
    let len = file.len();
    Archive::open(Arc::new(file), 0, len).map_err(failed)
}

/// The file with the artifacts of the image at `path`, if there is one: the one that
/// its manifest names, or without a manifest the one of its own name.
pub fn beside(path: &Path) -> Option<PathBuf> {
    // An unfinished run's has the unfinished name yet.
    let own = artifacts_of(path);
    let told = match named(&manifest_of(path)) {
        Ok(Some(name)) => path.with_file_name(name),
        Ok(None) => return None,
        Err(_) => own.clone(),
    };
    [told, own].into_iter().find(|path| path.exists())
}

/// The name of the artifacts' file in the header of the manifest at `path`, whatever
/// else of it is damaged; only a plain name, without a folder.
fn named(path: &Path) -> Result<Option<String>, ReadError> {
    let header = match Reader::open(path)?.next().transpose()? {
        Some(Record::Header(header)) => header,
        _ => return Ok(None),
    };
    let name = header.artifacts.and_then(|artifacts| artifacts.file);
    Ok(name.filter(|name| !name.contains('/') && name != ".." && name != "."))
}
