// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of one run: made under working names, named at the end.

use crate::acquire::AcquireError;
use crate::args::AcquireArgs;
use crate::checksum;
use crate::clock::Moment;
use crate::digest::Sha256Sum;
use crate::evidence::Kept;
use crate::freeze::Frozen;
use crate::manifest::{FileRecord, Footer, Header, ManifestWriter, SecondPassTotals, SoFar, State};
use crate::naming::{ImageFormat, Target, checksum_of, manifest_of, partial_of};
use crate::pipeline::{Acquisition, CHUNK_BYTES, End, Outcome, RunError, run};
use crate::second_pass::second_pass;
use crate::sink::{FileSink, LimitedSink, Limits, PartialFile, PipeSink, Sink, folder_of};
use crate::source_sum::SourceSum;
use linpmem_formats::{ImagePlan, ImageWriter};
use linpmem_phys::{PhysLen, ReadPhys};
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// /proc/iomem, VMCOREINFO and the like, and some unreadable pages.
const MANIFEST_HEADER_BYTES: u64 = 256 << 10;
/// A chunk's line, or a range's.
const MANIFEST_LINE_BYTES: u64 = 320;
/// The files that a run makes.
pub(crate) struct Files {
    /// None: stdout.
    image: Option<PartialFile>,
    image_path: PathBuf,
    manifest: Option<PartialFile>,
    manifest_path: PathBuf,
    /// What lies beside the image.
    evidence: Option<PartialFile>,
    limits: Limits,
    force: bool,
}

/// What is done beside writing the image.
pub(crate) struct Beside<'a> {
    /// The image's format, and the memory, if that is to be read once more.
    pub(crate) second_pass: Option<(ImageFormat, &'a dyn ReadPhys)>,
    /// What stands still until the memory has been read.
    pub(crate) frozen: Option<Frozen>,
    /// The sum of the image that is converted.
    pub(crate) source_sum: Option<Arc<SourceSum>>,
    /// Where the image's own copy of the manifest comes from.
    pub(crate) so_far: &'a SoFar,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) state: State,
    pub(crate) second_pass: Option<SecondPassTotals>,
    /// Without the second pass.
    pub(crate) elapsed: Duration,
}

impl Files {
    /// Creates what is written during the run, under working names.
    pub(crate) fn create(target: &Target, args: &AcquireArgs) -> Result<Self, AcquireError> {
        let (image, image_path, manifest_path, manifest_partial) = match target {
            Target::Stdout => {
                let path = args
                    .run
                    .manifest
                    .clone()
                    .ok_or(AcquireError::StdoutWithoutManifest)?;
                let partial = partial_of(&path);
                (None, PathBuf::from("-"), path, partial)
            }
            Target::File(path) => {
                let partial = partial_of(path);
                checksum::check_free(&checksum_of(path), args.run.force)?;
                let image = PartialFile::create(path, partial.clone(), args.run.force)?;
                let (manifest, manifest_partial) = match &args.run.manifest {
                    Some(manifest) => (manifest.clone(), partial_of(manifest)),
                    None => (manifest_of(path), manifest_of(&partial)),
                };
                (Some(image), path.clone(), manifest, manifest_partial)
            }
        };
        match PartialFile::create(&manifest_path, manifest_partial, args.run.force) {
            Ok(manifest) => Ok(Self {
                image,
                image_path,
                manifest: Some(manifest),
                manifest_path,
                evidence: None,
                limits: args.run.care.limits(),
                force: args.run.force,
            }),
            Err(error) => {
                if let Some(image) = image {
                    image.discard();
                }
                Err(error.into())
            }
        }
    }

    /// Takes the file with the evidence that lies beside the image, if there is one.
    pub(crate) fn hold(&mut self, kept: &mut Option<Kept>) {
        self.evidence = kept.as_mut().and_then(|kept| kept.beside.take());
    }

    /// Runs the pipeline into the files and ends the manifest.
    pub(crate) fn run(
        &mut self,
        acquisition: Acquisition<'_>,
        writer: &mut dyn ImageWriter,
        header: &Header,
        mut warnings: Vec<String>,
        beside: Beside<'_>,
    ) -> Result<Ran, AcquireError> {
        let failed = |action| move |source| AcquireError::Io { action, source };
        let manifest = match &self.manifest {
            Some(manifest) => manifest.file().try_clone(),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let manifest = manifest.map_err(failed("opening the manifest"))?;
        reserve(&manifest, acquisition.plan);
        let reading = manifest
            .try_clone()
            .map_err(failed("opening the manifest"))?;
        let source_sum = beside.source_sum;
        beside
            .so_far
            .begin(reading, warnings.clone(), source_sum.clone());
        let out = BufWriter::new(manifest);
        let folder = folder_of(&self.manifest_path).to_path_buf();
        let mut manifest =
            ManifestWriter::new(out, header, folder).map_err(failed("writing the manifest"))?;
        manifest.followed_by(beside.so_far.clone());
        let mut sink = self.sink().map_err(failed("opening the output"))?;
        let mut outcome = run(acquisition, writer, &mut *sink, &mut manifest);
        let elapsed = acquisition.started.elapsed();
        let second_pass = match (beside.second_pass, &self.image, &outcome.end) {
            (Some((format, source)), Some(image), End::Whole) => {
                let again = Acquisition {
                    source,
                    ..acquisition
                };
                second_pass(&again, image.partial(), format, &mut manifest).map(Some)
            }
            _ => Ok(None),
        };
        warnings.extend(beside.frozen.and_then(Frozen::thaw));
        if let Ok(Some(totals)) = &second_pass {
            let broke = |error| format!("the second pass broke off: {error}");
            warnings.extend(totals.error.as_ref().map(broke));
        }
        let source_sum = source_sum.and_then(|sum| sum.or_warn(&mut warnings));
        let ended = second_pass.and_then(|second_pass| {
            end_manifest(manifest, &outcome, warnings, source_sum)?;
            Ok(second_pass)
        });
        let second_pass = ended.unwrap_or_else(|error| {
            // Without its manifest an image is not complete.
            if !matches!(outcome.end, End::Failed(_)) {
                outcome.end = End::Failed(RunError::Manifest(error));
            }
            None
        });
        let state = state_of(&outcome);
        Ok(Ran {
            outcome,
            state,
            second_pass,
            elapsed,
        })
    }

    fn sink(&self) -> io::Result<Box<dyn Sink>> {
        Ok(match &self.image {
            Some(image) => {
                let file = FileSink::new(image.file().try_clone()?)?;
                let folder = folder_of(image.partial()).to_path_buf();
                Box::new(LimitedSink::new(file, self.limits, folder))
            }
            // Not std's own stdout, which looks for line ends in all that passes.
            None => {
                let stdout = rustix::io::dup(rustix::stdio::stdout())?;
                let limits = Limits {
                    min_free: PhysLen::ZERO,
                    ..self.limits
                };
                let pipe = PipeSink::new(File::from(stdout));
                Box::new(LimitedSink::new(pipe, limits, PathBuf::new()))
            }
        })
    }

    /// Gives everything its name: the image last, so that whatever bears its name
    /// is whole and has its manifest. Says what image and manifest are called.
    pub(crate) fn end(
        mut self,
        outcome: &Outcome,
        state: State,
    ) -> Result<(PathBuf, PathBuf), AcquireError> {
        let evidence = self.evidence.take();
        let Some(manifest) = self.manifest.take() else {
            return Ok((self.image_path, self.manifest_path));
        };
        match self.image.take() {
            Some(image) if state.is_whole() => {
                evidence.map_or(Ok(()), PartialFile::commit)?;
                manifest.commit()?;
                if let Some(sum) = outcome.file.sha256 {
                    checksum::write(&self.image_path, sum, self.force)?;
                }
                image.commit()?;
                Ok((self.image_path, self.manifest_path))
            }
            Some(image) => Ok((
                image.partial().to_path_buf(),
                manifest.partial().to_path_buf(),
            )),
            None => {
                evidence.map_or(Ok(()), PartialFile::commit)?;
                manifest.commit()?;
                Ok((self.image_path, self.manifest_path))
            }
        }
    }

    pub(crate) fn discard(self) {
        for file in [self.image, self.manifest, self.evidence]
            .into_iter()
            .flatten()
        {
            file.discard();
        }
    }
}

/// Sets room aside for the manifest, so that it can still be ended when the
/// image has filled the disk. Where that cannot be done, it is done without.
fn reserve(manifest: &File, plan: &ImagePlan) {
    let bytes = manifest_bytes(plan);
    let _ = rustix::fs::fallocate(manifest, FallocateFlags::KEEP_SIZE, 0, bytes);
}

/// About what the manifest of `plan` takes, unreadable pages aside.
pub(crate) fn manifest_bytes(plan: &ImagePlan) -> u64 {
    let chunk = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
    let ranges = u64::try_from(plan.ranges().len()).unwrap_or(u64::MAX);
    let chunks = (plan.total().get() / chunk).saturating_add(ranges.saturating_mul(2));
    let lines = chunks.saturating_add(ranges);
    MANIFEST_LINE_BYTES
        .saturating_mul(lines)
        .saturating_add(MANIFEST_HEADER_BYTES)
}

fn end_manifest(
    manifest: ManifestWriter<BufWriter<File>>,
    outcome: &Outcome,
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
            sha256_outside: outcome.file.sha256_outside,
        },
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
    // Gives back what was set aside and not used.
    let length = manifest.stream_position()?;
    manifest.set_len(length)?;
    manifest.sync_all()
}

const fn state_of(outcome: &Outcome) -> State {
    match &outcome.end {
        End::Whole if outcome.unreadable_pages > 0 => State::CompleteWithUnreadable,
        End::Whole => State::Complete,
        End::Interrupted(_) => State::Interrupted,
        End::Failed(_) => State::Failed,
    }
}
