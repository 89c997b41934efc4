// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the artifacts of an acquisition goes: into the image where that has room,
//! else beside it.

use super::archive::Section;
use super::archive_writer::{Written, WrittenFile};
use super::gather::{GatherError, Gathered, Gathering, gather};
use super::{MACHINE, MANIFEST, VMCOREINFO};
use crate::embedded_manifest::EmbeddedManifest;
use crate::image_format::ImageFormat;
use crate::sink::{PartialError, PartialFile, folder_of};
use crate::spool::unnamed_file;
use linpmem_formats::{FileSource, ReadAt, aff4, elf};
use linpmem_manifest::{ArtifactRecord, ArtifactsPlace, ArtifactsRecord};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use zstd::stream::read::Decoder;

/// The artifacts of an acquisition, on the disk.
#[derive(Debug)]
pub(crate) struct Kept {
    archive: Arc<FileSource>,
    files: Vec<WrittenFile>,
    pub(crate) record: ArtifactsRecord,
    pub(crate) warnings: Vec<String>,
    /// What becomes the file beside the image.
    pub(crate) beside: Option<PartialFile>,
}

/// Where it may go.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The file beside the image, and what it is called until it is complete.
    pub(crate) path: PathBuf,
    pub(crate) partial: PathBuf,
    pub(crate) format: ImageFormat,
    pub(crate) force: bool,
    /// Whether it must be within the image.
    pub(crate) within: bool,
}

/// Artifacts that could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// It could not be gathered.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The file beside the image.
    #[error(transparent)]
    File(#[from] PartialError),
    /// It must be in the image and is too large.
    #[error(
        "the artifacts take {0} bytes, and an ELF core holds 32 MiB of it: leave --bundle or some \
         --add off, or use --format aff4"
    )]
    TooLarge(u64),
}

/// Gathers artifacts and keeps it. None: there is nothing.
pub(crate) fn place(
    gathering: Gathering<'_>,
    to: &Destination,
) -> Result<Option<Kept>, PlacementError> {
    let folder = folder_of(&to.path).to_path_buf();
    let within = match to.format {
        ImageFormat::Elf => Some(ArtifactsPlace::Note),
        ImageFormat::Aff4(_) => Some(ArtifactsPlace::Members),
        _ => None,
    };
    let write = |source| PlacementError::Gather(GatherError::Write(source));
    if let Some(place) = within {
        let file = unnamed_file(&folder).map_err(write)?;
        let Some(gathered) = gather(gathering, file, folder)? else {
            return Ok(None);
        };
        let length = gathered.written.length;
        if place == ArtifactsPlace::Members || length <= elf::MAX_ARTIFACTS_BYTES {
            return Ok(Some(kept(gathered, place, None)?));
        }
        if to.within {
            return Err(PlacementError::TooLarge(length));
        }
        let beside = PartialFile::create(&to.path, to.partial.clone(), to.force)?;
        let gathered = move_to(gathered, &beside).map_err(write)?;
        return Ok(Some(kept(gathered, ArtifactsPlace::File, Some(beside))?));
    }
    let beside = PartialFile::create(&to.path, to.partial.clone(), to.force)?;
    let file = beside.file().try_clone().map_err(write)?;
    match gather(gathering, file, folder)? {
        Some(gathered) => Ok(Some(kept(gathered, ArtifactsPlace::File, Some(beside))?)),
        None => Ok(None),
    }
}

/// Copies an archive that turned out too large for where it was.
fn move_to(gathered: Gathered, beside: &PartialFile) -> io::Result<Gathered> {
    let from: Arc<dyn ReadAt> = Arc::new(FileSource::new(gathered.written.file.try_clone()?)?);
    io::copy(&mut Section::whole(from), &mut beside.file())?;
    Ok(Gathered {
        written: Written {
            file: beside.file().try_clone()?,
            ..gathered.written
        },
        ..gathered
    })
}

fn kept(
    gathered: Gathered,
    place: ArtifactsPlace,
    beside: Option<PartialFile>,
) -> Result<Kept, PlacementError> {
    let written = gathered.written;
    let synced = match &beside {
        Some(beside) => beside.file().sync_all(),
        None => Ok(()),
    };
    let archive = synced.and_then(|()| FileSource::new(written.file));
    let archive = Arc::new(archive.map_err(GatherError::Write)?);
    let has_archive = place != ArtifactsPlace::Members;
    Ok(Kept {
        archive,
        record: ArtifactsRecord {
            place,
            file: beside.as_ref().map(|beside| {
                let name = beside.path().file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }),
            length: has_archive.then_some(written.length),
            sha256: has_archive.then_some(written.sha256),
            files: written.files.iter().map(WrittenFile::record).collect(),
            missing: gathered.missing,
            remarks: gathered.remarks,
        },
        files: written.files,
        warnings: gathered.warnings,
        beside,
    })
}

impl WrittenFile {
    fn record(&self) -> ArtifactRecord {
        let file = self;
        ArtifactRecord {
            name: file.name.clone(),
            length: file.length,
            sha256: file.sha256,
        }
    }
}

impl Kept {
    /// The archive, for a note.
    pub(crate) fn note(&self) -> Option<Arc<dyn ReadAt>> {
        let archive: Arc<dyn ReadAt> = self.archive.clone();
        (self.record.place == ArtifactsPlace::Note).then_some(archive)
    }

    /// Bytes that it takes in the image itself.
    pub(crate) fn bytes_within(&self) -> u64 {
        let files = self.files.iter();
        match self.record.place {
            ArtifactsPlace::Note => self.record.length.unwrap_or(0),
            // As they are.
            ArtifactsPlace::Members => {
                files.fold(0, |sum: u64, file| sum.saturating_add(file.length))
            }
            ArtifactsPlace::File => 0,
        }
    }

    /// The files, for an AFF4 volume. Its writer adds VMCOREINFO by itself.
    fn members(&self) -> impl Iterator<Item = aff4::File> + '_ {
        let files = self
            .files
            .iter()
            .filter(|file| file.name != VMCOREINFO && file.name != MANIFEST);
        files.map(|file| {
            let content = Archived {
                archive: self.archive.clone(),
                file: file.clone(),
            };
            aff4::File::new(member_path(&file.name), content)
        })
    }
}

/// The files of an AFF4 volume: `kept`, and its manifest.
pub(crate) fn members(kept: Option<&Kept>, manifest: &EmbeddedManifest) -> Vec<aff4::File> {
    let kept = kept.into_iter().flat_map(Kept::members);
    let manifest = aff4::File::new(MANIFEST, manifest.clone());
    kept.chain([manifest]).collect()
}

/// What an AFF4 volume calls a file: by its path on the machine, if it has one.
fn member_path(name: &str) -> String {
    match name {
        MACHINE => name.to_owned(),
        _ => format!("/{name}"),
    }
}

/// One file of an archive.
struct Archived {
    archive: Arc<dyn ReadAt>,
    file: WrittenFile,
}

impl aff4::Content for Archived {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let left = self.archive.len().saturating_sub(self.file.offset);
        let section = Section::new(Arc::clone(&self.archive), self.file.offset, left);
        let frame = Decoder::new(section)?.single_frame();
        Ok(Box::new(frame.take(self.file.length)))
    }
}
