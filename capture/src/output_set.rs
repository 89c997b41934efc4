// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of one run. They have working names until the end, and are removed if they
//! are dropped before it.

use crate::after_memory::{After, hash_rest};
use crate::artifacts::{CollectedArtifacts, LateArtifacts};
use crate::clock::Moment;
use crate::embedded_manifest::EmbeddedManifest;
use crate::error::AcquireError;
use crate::freeze::Frozen;
use crate::image_format::{ImageFormat, Stream, Target};
use crate::input_hash::InputHash;
use crate::pipeline::{Acquisition, CHUNK_BYTES, End, Outcome, ReadBack, RunError, run};
use crate::plan::Plan;
use crate::reader::ReadPages;
use crate::second_pass::second_pass;
use crate::sidecar;
use crate::sink::{
    FileSink, LimitedSink, Limits, PartialError, PartialFile, PipeSink, Sink, exposure, folder_of,
    open_pipe,
};
use crate::stop::Stop;
use crate::warnings::Warnings;
use linpmem_formats::{ImagePlan, ImageWriter};
use linpmem_manifest::paths::{checksum_of, manifest_of, partial_of};
use linpmem_manifest::{
    ArtifactsRecord, FileRecord, Footer, HashedRecord, Header, ManifestWriter, ReadBackRecord,
    ReadSpan, SecondPassTotals, Sha256Sum, State, WrittenRecord,
};
use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Room for the header with /proc/iomem, VMCOREINFO and the like, for some unreadable
/// pages, and for the footer.
const MANIFEST_HEADER_BYTES: u64 = 256 << 10;
/// Room for a chunk's line: 95 bytes in an uncompressed image, 120 with its frame in a
/// compressed one, more only if offsets or times have more digits than those of 10 TiB.
/// Zero chunks take less.
const MANIFEST_CHUNK_BYTES: u64 = 128;
/// Room for a range's first and last line.
const MANIFEST_RANGE_BYTES: u64 = 320;

/// The files that a run makes.
pub(crate) struct OutputSet {
    /// `None` for a stream.
    image: Option<PartialFile>,
    /// The pipe that the image goes to, if it goes to one.
    pipe: Option<File>,
    image_path: PathBuf,
    manifest: PartialFile,
    /// Artifacts in a file next to the image.
    artifacts: Option<PartialFile>,
    limits: Limits,
    force: bool,
}

/// What a run does besides writing the image.
pub(crate) struct Extras<'a> {
    /// The image's format, and the memory, if that is to be read again.
    pub(crate) second_pass: Option<(ImageFormat, &'a dyn ReadPages)>,
    /// What is suspended until memory has been read.
    pub(crate) frozen: Option<Frozen>,
    /// The hash of the image that is converted.
    pub(crate) input_hash: Option<Arc<InputHash>>,
    /// The image's own copy of the manifest.
    pub(crate) embedded: &'a EmbeddedManifest,
    /// What is collected when memory has been read.
    pub(crate) late: Option<LateArtifacts<'a>>,
}

/// What was written.
pub(crate) struct Written {
    pub(crate) outcome: Outcome,
    pub(crate) state: State,
    pub(crate) second_pass: Option<SecondPassTotals>,
    /// What was collected after the memory.
    pub(crate) late: Option<CollectedArtifacts>,
    /// When memory was read.
    pub(crate) read: Option<ReadSpan>,
    /// The time until the image was on the disk.
    pub(crate) synced: Duration,
    /// The time until its hashes were ready, without the second pass.
    pub(crate) elapsed: Duration,
    /// What was read back for them.
    pub(crate) read_back: Option<ReadBackRecord>,
}

impl OutputSet {
    /// Creates what is written during the run, under working names.
    pub(crate) fn create(target: &Target, plan: &Plan, stop: &Stop) -> Result<Self, AcquireError> {
        let force = plan.force;
        let mut pipe = None;
        let (image, image_path, manifest) = match target {
            Target::Stream { stream, manifest } => {
                let partial = partial_of(manifest);
                let manifest = PartialFile::create(manifest, partial, force)?;
                if let Stream::Pipe(path) = stream {
                    pipe = Some(open_pipe(path, stop)?);
                }
                (None, stream.name(), manifest)
            }
            Target::File { image, manifest } => {
                let partial = partial_of(image);
                sidecar::check_free(&checksum_of(image), force)?;
                let file = PartialFile::create(image, partial.clone(), force)?;
                let (path, working) = match manifest {
                    Some(path) => (path.clone(), partial_of(path)),
                    None => (manifest_of(image), manifest_of(&partial)),
                };
                let manifest = PartialFile::create(&path, working, force)?;
                (Some(file), image.clone(), manifest)
            }
        };
        for path in [manifest.path(), manifest.partial()] {
            sidecar::check_unvouched(path, force)?;
        }
        Ok(Self {
            image,
            pipe,
            image_path,
            manifest,
            artifacts: None,
            limits: plan.impact.limits,
            force,
        })
    }

    /// The image's file, unless it goes to a stream.
    pub(crate) fn image(&self) -> Option<&PartialFile> {
        self.image.as_ref()
    }

    /// Why others can replace the files, if they can.
    pub(crate) fn exposure(&self) -> Option<String> {
        let image = self.image.as_ref().map(PartialFile::path);
        let mut files = image.into_iter().chain([self.manifest.path()]);
        files.find_map(|path| exposure(folder_of(path)))
    }

    /// Takes over the artifacts, and returns what the manifest says about them.
    pub(crate) fn hold(&mut self, kept: CollectedArtifacts) -> ArtifactsRecord {
        self.artifacts = kept.file;
        kept.record
    }

    /// Runs the pipeline into the files and ends the manifest.
    pub(crate) fn write(
        &self,
        acquisition: Acquisition<'_>,
        writer: &mut dyn ImageWriter,
        header: &Header,
        warnings: &mut Warnings<'_>,
        extras: Extras<'_>,
    ) -> Result<Written, AcquireError> {
        let open = |file: &PartialFile| {
            file.file()
                .try_clone()
                .map_err(AcquireError::io("opening the manifest"))
        };
        let (file, reading) = (open(&self.manifest)?, open(&self.manifest)?);
        reserve(&file, acquisition.plan);
        let input_hash = extras.input_hash;
        extras
            .embedded
            .begin(reading, warnings.all().to_vec(), input_hash.clone());
        let mut manifest = ManifestWriter::new(BufWriter::new(file), header)
            .map_err(AcquireError::io("writing the manifest"))?;
        let mut sink = self
            .sink()
            .map_err(AcquireError::io("opening the output"))?;
        let mut after = After {
            is_read_again: extras.second_pass.is_some(),
            frozen: extras.frozen,
            late: extras.late,
            collected: None,
            image: self.image.as_ref().map(PartialFile::path),
            limits: self.limits,
            warnings,
        };
        let mut outcome = run(
            acquisition,
            writer,
            &mut *sink,
            &mut manifest,
            extras.embedded,
            &mut after,
        );
        let After {
            frozen,
            late,
            collected,
            warnings,
            ..
        } = after;
        if late.is_some() {
            warnings.add(
                "kernel artifacts were not collected, because the image ends before its memory does"
                    .to_owned(),
            );
        }
        let synced = Moment::now();
        let mut elapsed = acquisition.started.elapsed();
        let second_pass = self
            .record_written(&outcome, header, synced, &mut manifest)
            .and_then(|()| match (extras.second_pass, &self.image, &outcome.end) {
                (Some((format, source)), Some(image), End::Whole) => {
                    let again = Acquisition {
                        source,
                        ..acquisition
                    };
                    second_pass(&again, image.partial(), format, &mut manifest).map(Some)
                }
                _ => Ok(None),
            });
        warnings.extend(frozen.and_then(Frozen::thaw));
        if let Ok(Some(totals)) = &second_pass {
            let ended_early = |error| format!("the second pass ended early: {error}");
            warnings.extend(totals.error.as_ref().map(ended_early));
        }
        let hashing = Moment::now();
        let read_back = match (sink.file(), extras.embedded.lines(), &second_pass) {
            (Some(file), Some(lines), Ok(_)) => {
                let read_back = ReadBack {
                    file,
                    manifest: Box::new(lines),
                    plan: acquisition.plan,
                    writer: &*writer,
                    stop: acquisition.stop,
                    meter: acquisition.meter,
                };
                hash_rest(read_back, &mut outcome, warnings)
            }
            _ => None,
        };
        elapsed += hashing.elapsed();
        let has_hash = outcome.file.sha256.is_some() || !outcome.file.hashes.is_empty();
        let hashed = (has_hash || read_back.is_some()).then(|| HashedRecord {
            ready: match read_back {
                Some(_) => Moment::now().stamp(),
                None => synced.stamp(),
            },
            read_back,
        });
        let input_sha256 = input_hash.and_then(|hash| match hash.get() {
            Ok(sum) => Some(sum),
            Err(why) => {
                warnings.add(why.to_owned());
                None
            }
        });
        let ended = second_pass.and_then(|second_pass| {
            let warnings = warnings.all().to_vec();
            end_manifest(manifest, &outcome, hashed, warnings, input_sha256)?;
            Ok(second_pass)
        });
        let second_pass = ended.unwrap_or_else(|error| {
            // Without its manifest an image is not complete.
            if !matches!(outcome.end, End::Failed(_)) {
                outcome.end = End::Failed(RunError::Manifest(error));
            }
            None
        });
        Ok(Written {
            state: state_of(&outcome),
            read: read_span(&outcome, header),
            outcome,
            second_pass,
            late: collected,
            synced: acquisition.started.until(synced),
            elapsed,
            read_back,
        })
    }

    /// Records that the image is whole, if it is: what is left are hashes, and a run that is
    /// killed then leaves an image that can be finished.
    fn record_written(
        &self,
        outcome: &Outcome,
        header: &Header,
        synced: Moment,
        manifest: &mut ManifestWriter<BufWriter<File>>,
    ) -> io::Result<()> {
        if !matches!(outcome.end, End::Whole) {
            return Ok(());
        }
        manifest.written(&WrittenRecord {
            length: outcome.file.file_length,
            image_length: outcome.file.image_length,
            sha256_tree: outcome.sha256_tree,
            sha256_remainder: outcome.file.sha256_remainder,
            unreadable_pages: outcome.unreadable_pages,
            read_us: read_span(outcome, header).unwrap_or_default(),
            synced: synced.stamp(),
        })?;
        match outcome.file.unhashed {
            Some(_) => self.manifest.file().sync_data(),
            None => Ok(()),
        }
    }

    fn sink(&self) -> io::Result<Box<dyn Sink>> {
        Ok(match &self.image {
            Some(image) => {
                let folder = folder_of(image.partial()).to_path_buf();
                let file = FileSink::new(image.file().try_clone()?, &folder)?;
                Box::new(LimitedSink::new(file, self.limits, folder))
            }
            // Not std's stdout, which searches everything for line ends.
            None => {
                let stream = match &self.pipe {
                    Some(pipe) => pipe.try_clone()?,
                    None => File::from(rustix::io::dup(rustix::stdio::stdout())?),
                };
                let limits = Limits {
                    min_free: PhysLen::ZERO,
                    ..self.limits
                };
                let pipe = PipeSink::new(stream);
                Box::new(LimitedSink::new(pipe, limits, PathBuf::new()))
            }
        })
    }

    /// Gives the files their final names: the image last, so that a file with that name is
    /// complete and has its manifest. An incomplete image keeps its working name. Returns
    /// the names of image and manifest.
    pub(crate) fn commit(self, written: &Written) -> Result<(PathBuf, PathBuf), AcquireError> {
        let manifest = self.manifest.path().to_path_buf();
        match self.image {
            Some(image) if !written.state.is_whole() => {
                unvouch(self.manifest.partial(), self.force)?;
                self.artifacts.map(PartialFile::leave);
                Ok((image.leave(), self.manifest.leave()))
            }
            image => {
                unvouch(&manifest, self.force)?;
                self.artifacts.map_or(Ok(()), PartialFile::commit)?;
                self.manifest.commit()?;
                if let Some(image) = image {
                    if let Some(sum) = written.outcome.file.sha256 {
                        sidecar::write_checksum(&self.image_path, sum, self.force)?;
                    }
                    image.commit()?;
                }
                Ok((self.image_path, manifest))
            }
        }
    }
}

/// Removes what vouches for an older manifest in the place of this one.
fn unvouch(manifest: &Path, force: bool) -> Result<(), PartialError> {
    match force {
        true => sidecar::remove_vouching(manifest),
        // There was nothing when the run began.
        false => Ok(()),
    }
}

/// Reserves disk space for the manifest, so that it can still be finished when the image
/// has filled the disk. Goes on without if the file system cannot reserve space.
fn reserve(manifest: &File, plan: &ImagePlan) {
    let bytes = manifest_bytes(plan);
    let _ = rustix::fs::fallocate(manifest, FallocateFlags::KEEP_SIZE, 0, bytes);
}

/// Roughly the size of the manifest of `plan`, without unreadable pages.
pub(crate) fn manifest_bytes(plan: &ImagePlan) -> u64 {
    let ranges = usize_as_u64(plan.ranges().len());
    let chunks = plan.total().get() / usize_as_u64(CHUNK_BYTES) + 2 * ranges;
    MANIFEST_CHUNK_BYTES * chunks + MANIFEST_RANGE_BYTES * ranges + MANIFEST_HEADER_BYTES
}

fn end_manifest(
    manifest: ManifestWriter<BufWriter<File>>,
    outcome: &Outcome,
    hashed: Option<HashedRecord>,
    warnings: Vec<String>,
    source_sha256: Option<Sha256Sum>,
) -> io::Result<()> {
    let footer = Footer {
        unreadable_pages: outcome.unreadable_pages,
        source_sha256,
        file: FileRecord {
            length: outcome.file.file_length,
            image_length: outcome.file.image_length,
            sha256: outcome.file.sha256,
            hashes: outcome.file.hashes.clone(),
            sha256_tree: outcome.sha256_tree,
            sha256_remainder: outcome.file.sha256_remainder,
        },
        hashed,
        warnings,
        error: match &outcome.end {
            End::Failed(error) => Some(error.to_string()),
            End::Interrupted(reason) => Some(reason.to_string()),
            End::Whole => None,
        },
        ended: Moment::now().stamp(),
        state: state_of(outcome),
    };
    let mut out = manifest.finish(&footer)?;
    let manifest = out.get_mut();
    // Releases what was reserved and not used.
    let length = manifest.stream_position()?;
    manifest.set_len(length)?;
    manifest.sync_all()
}

/// When memory was read, from the first page to the last.
fn read_span(outcome: &Outcome, header: &Header) -> Option<ReadSpan> {
    let first = header.read_first.as_ref().map(|first| first.read_us);
    match (first, outcome.read) {
        (Some(first), Some(read)) => Some(first.until(read)),
        (first, read) => first.or(read),
    }
}

const fn state_of(outcome: &Outcome) -> State {
    match &outcome.end {
        End::Whole if outcome.unreadable_pages > 0 => State::CompleteWithUnreadable,
        End::Whole => State::Complete,
        End::Interrupted(_) => State::Interrupted,
        End::Failed(_) => State::Failed,
    }
}
