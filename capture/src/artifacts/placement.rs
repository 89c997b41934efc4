// SPDX-License-Identifier: MIT OR Apache-2.0
//! The artifacts of one acquisition: collected as its plan wants them, and put into the
//! image if its format can hold them, else into a file next to it.

use super::archive_writer::{ArchivedFile, WrittenArchive};
use super::gather::{GatherError, Gathered, Gathering, Origin, gather};
use super::machine_files::MachineFiles;
use super::own_file::{OwnFile, scratch};
use super::processes::ListedPids;
use super::swap_areas::NOT_WANTED;
use super::{MACHINE, MANIFEST, PROCESSES, VMCOREINFO};
use crate::Reading;
use crate::embedded_manifest::EmbeddedManifest;
use crate::encryption::Encrypted;
use crate::image_format::{ImageFormat, Target};
use crate::plan::ArtifactsSpec;
use crate::section::Section;
use crate::sink::PartialError;
use crate::source::{Source, SourceSpec, Subject};
use crate::stop::Stop;
use linpmem_formats::{FileSource, ReadAt, aff4, elf};
use linpmem_manifest::{ArtifactRecord, ArtifactsPlace, ArtifactsRecord};
use linpmem_phys::PhysLen;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use zstd::stream::read::Decoder;

/// Which artifacts are to be collected, and for which image.
pub(crate) struct ArtifactsRequest<'a> {
    pub(crate) wanted: &'a ArtifactsSpec,
    pub(crate) format: ImageFormat,
    pub(crate) target: &'a Target,
    /// Whom all files are encrypted to, if they are.
    pub(crate) encrypted: Option<&'a Arc<Encrypted>>,
    pub(crate) force: bool,
    pub(crate) source: &'a Source,
    pub(crate) spec: &'a SourceSpec,
    pub(crate) reading: &'a Reading,
    /// How long one file may take.
    pub(crate) timeout: Option<Duration>,
    pub(crate) stop: &'a Stop,
}

/// The artifacts of an acquisition, on disk.
#[derive(Debug)]
pub(crate) struct CollectedArtifacts {
    archive: Arc<FileSource>,
    files: Vec<ArchivedFile>,
    pub(crate) record: ArtifactsRecord,
    pub(crate) warnings: Vec<String>,
    /// The file next to the image, unless the image holds the artifacts.
    pub(crate) file: Option<OwnFile>,
}

/// Artifacts that could not be collected or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// They could not be collected.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The file next to the image could not be created.
    #[error(transparent)]
    File(#[from] PartialError),
    /// They are too large for the image that has to hold them.
    #[error(
        "the artifacts take {0}, and an ELF core can hold {limit} of them: drop --bundle or some \
         --add, or use --format aff4",
        limit = PhysLen::new(elf::MAX_ARTIFACTS_BYTES)
    )]
    TooLarge(PhysLen),
}

impl ArtifactsRequest<'_> {
    /// Collects the artifacts, and passes on what the user should know to `warn`. `None`
    /// if none are wanted, or there are none.
    ///
    /// # Errors
    /// If a file that the user named cannot be read, or the file for the artifacts exists
    /// already. If it cannot be written, the run goes on without artifacts, unless the
    /// user asked for some of them in particular.
    pub(crate) fn collect(
        &self,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<CollectedArtifacts>, PlacementError> {
        if !self.wanted.is_wanted() {
            return Ok(None);
        }
        match self.place() {
            Ok(collected) => {
                let warnings = collected.iter().flat_map(|it| it.warnings.iter().cloned());
                warnings.for_each(warn);
                Ok(collected)
            }
            Err(PlacementError::Gather(GatherError::Write(error)))
                if !self.wanted.is_demanded() =>
            {
                warn(format!("kernel artifacts were not collected: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the artifacts can be collected when memory has been read: making them replaces
    /// free pages. A stream has to have them before. An image does not change, and what the
    /// user asked for in particular ends the run before it begins if it cannot be had.
    pub(crate) fn is_late(&self) -> bool {
        self.wanted.is_wanted()
            && !self.wanted.is_demanded()
            && !matches!(self.target, Target::Stream { .. })
            && !matches!(self.spec, SourceSpec::Image(_))
    }

    /// Which processes there are before memory is read, if it is this machine's.
    pub(super) fn list_processes(&self) -> Option<ListedPids> {
        let is_live = self.wanted.kernel && !matches!(self.spec, SourceSpec::Image(_));
        let is_own = self.source.subject != Subject::CrashedKernel;
        let files = MachineFiles::of_this_machine(self.timeout);
        // What keeps them from being listed now will do so when they are to be kept, and is said
        // then.
        (is_live && is_own)
            .then(|| ListedPids::now(&files).ok())
            .flatten()
    }

    /// Whether swap areas are kept, or why not.
    pub(super) fn swap(&self) -> Result<(), &'static str> {
        match self.wanted.swap {
            true => Ok(()),
            false => Err(NOT_WANTED),
        }
    }

    /// Collects the artifacts into `file`; `begin` are the processes that there were before
    /// memory was read. `swap` says why swap areas are not kept, if they are not.
    pub(super) fn gather(
        &self,
        file: File,
        stop: &Stop,
        begin: Option<&ListedPids>,
        swap: Result<(), &'static str>,
    ) -> Result<Option<Gathered>, GatherError> {
        let gathering = Gathering {
            begin,
            origin: match self.spec {
                _ if !self.wanted.kernel => Origin::Nothing,
                SourceSpec::Image(path) => Origin::Image(path, self.reading),
                _ => Origin::Live(self.source),
            },
            added: &self.wanted.add,
            added_by: self.wanted.add_reader.as_deref(),
            added_limit: self.wanted.add_limit,
            swap,
            timeout: self.timeout,
            stop,
        };
        gather(gathering, file, scratch(self.target, self.encrypted))
    }

    fn place(&self) -> Result<Option<CollectedArtifacts>, PlacementError> {
        let create = || OwnFile::create(self.target, self.encrypted, self.force);
        let write = |source| PlacementError::Gather(GatherError::Write(source));
        let inside = match self.format {
            ImageFormat::Elf => Some(ArtifactsPlace::Note),
            ImageFormat::Aff4(_) => Some(ArtifactsPlace::Members),
            _ => None,
        };
        let Some(inside) = inside else {
            let file = create()?;
            let archive = file.file().try_clone().map_err(write)?;
            let gathered = self.gather(archive, self.stop, None, self.swap())?;
            return gathered
                .map(|gathered| in_own_file(gathered, file))
                .transpose();
        };
        let archive = scratch(self.target, self.encrypted).file().map_err(write)?;
        let gathered = self.gather(archive, self.stop, None, self.swap())?;
        let Some(gathered) = gathered else {
            return Ok(None);
        };
        let length = gathered.archive.length;
        if inside == ArtifactsPlace::Members || length <= elf::MAX_ARTIFACTS_BYTES {
            return Ok(Some(CollectedArtifacts::new(gathered, inside, None)?));
        }
        if self.wanted.inside_image {
            return Err(PlacementError::TooLarge(PhysLen::new(length)));
        }
        let file = create()?;
        let gathered = move_to(gathered, &file).map_err(write)?;
        in_own_file(gathered, file).map(Some)
    }
}

/// Copies an archive that turned out too large for the image.
fn move_to(gathered: Gathered, file: &OwnFile) -> io::Result<Gathered> {
    let from: Arc<dyn ReadAt> = Arc::new(FileSource::new(gathered.archive.file.try_clone()?)?);
    io::copy(&mut Section::whole(from), &mut file.file())?;
    Ok(Gathered {
        archive: WrittenArchive {
            file: file.file().try_clone()?,
            ..gathered.archive
        },
        ..gathered
    })
}

pub(super) fn in_own_file(
    gathered: Gathered,
    file: OwnFile,
) -> Result<CollectedArtifacts, PlacementError> {
    file.sync().map_err(GatherError::Write)?;
    Ok(CollectedArtifacts::new(
        gathered,
        ArtifactsPlace::File,
        Some(file),
    )?)
}

impl ArchivedFile {
    fn record(&self) -> ArtifactRecord {
        ArtifactRecord {
            name: self.name.clone(),
            length: self.length,
            sha256: self.sha256,
        }
    }
}

impl CollectedArtifacts {
    pub(super) fn new(
        gathered: Gathered,
        place: ArtifactsPlace,
        file: Option<OwnFile>,
    ) -> Result<Self, GatherError> {
        let name = match &file {
            Some(file) => Some(file.name().map_err(GatherError::Write)?),
            None => None,
        };
        let archive = gathered.archive;
        let is_archive_kept = place != ArtifactsPlace::Members;
        Ok(Self {
            archive: Arc::new(FileSource::new(archive.file).map_err(GatherError::Write)?),
            record: ArtifactsRecord {
                place,
                file: name,
                length: is_archive_kept.then_some(archive.length),
                sha256: is_archive_kept.then_some(archive.sha256),
                files: archive.files.iter().map(ArchivedFile::record).collect(),
                missing: gathered.missing,
                remarks: gathered.remarks,
            },
            files: archive.files,
            warnings: gathered.warnings,
            file,
        })
    }

    /// The archive, for a note.
    pub(crate) fn note(&self) -> Option<Arc<dyn ReadAt>> {
        (self.record.place == ArtifactsPlace::Note).then(|| self.archive())
    }

    pub(super) fn archive(&self) -> Arc<dyn ReadAt> {
        self.archive.clone()
    }

    /// The bytes that they take inside the image.
    pub(crate) fn bytes_inside(&self) -> u64 {
        match self.record.place {
            ArtifactsPlace::Note | ArtifactsPlace::Tail => self.archive.len(),
            // Not compressed. The writer of the archive limits the sum.
            ArtifactsPlace::Members => self.files.iter().map(|file| file.length).sum(),
            ArtifactsPlace::File => 0,
        }
    }

    /// The files for an AFF4 volume, whose writer adds VMCOREINFO itself.
    pub(super) fn members(&self) -> impl Iterator<Item = aff4::File> + '_ {
        let files = self
            .files
            .iter()
            .filter(|file| file.name != VMCOREINFO && file.name != MANIFEST);
        files.map(|file| {
            let content = ArchivedContent {
                archive: self.archive.clone(),
                file: file.clone(),
            };
            aff4::File::new(member_path(&file.name), content)
        })
    }
}

/// The files of an AFF4 volume: the artifacts and the manifest.
pub(crate) fn members(
    artifacts: Option<&CollectedArtifacts>,
    manifest: &EmbeddedManifest,
) -> Vec<aff4::File> {
    let artifacts = artifacts.into_iter().flat_map(CollectedArtifacts::members);
    let manifest = aff4::File::new(MANIFEST, manifest.clone());
    artifacts.chain([manifest]).collect()
}

/// The name of a file in an AFF4 volume: its path on the machine, if it has one.
fn member_path(name: &str) -> String {
    match name {
        MACHINE | PROCESSES => name.to_owned(),
        _ => format!("/{name}"),
    }
}

/// The content of a file in an archive.
struct ArchivedContent {
    archive: Arc<dyn ReadAt>,
    file: ArchivedFile,
}

impl aff4::Content for ArchivedContent {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let left = self.archive.len().checked_sub(self.file.offset);
        let left = left.ok_or(io::ErrorKind::UnexpectedEof)?;
        let section = Section::new(Arc::clone(&self.archive), self.file.offset, left)?;
        // A swap area has many frames.
        let frames = Decoder::new(section)?;
        Ok(Box::new(frames.take(self.file.length)))
    }
}
