// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of one run. They have working names until the end, and are removed if they
//! are dropped before it.

mod elsewhere;

use crate::after_memory::{After, hash_rest};
use crate::artifacts::{CollectedArtifacts, LateArtifacts, OwnFile};
use crate::clock::Moment;
use crate::embedded_manifest::EmbeddedManifest;
use crate::encryption::Encrypted;
use crate::error::AcquireError;
use crate::freeze::Frozen;
use crate::image_format::{ImageFormat, Stream, Target};
use crate::input_hash::InputHash;
use crate::manifest_output::{self, ManifestLines, ManifestOutput};
use crate::pipeline::{Acquisition, End, Outcome, ReadBack, RunError, run};
use crate::plan::Plan;
use crate::reader::ReadPages;
use crate::remote::{Delivered, ManifestSum, Remote};
use crate::second_pass::second_pass;
use crate::sidecar;
use crate::sink::{
    EncryptedSink, FileSink, LimitedSink, Limits, ObjectSink, PartialError, PartialFile, PipeSink,
    RemoteSink, Sink, exposure, folder_of, open_pipe,
};
use crate::spool::Scratch;
use crate::stop::Stop;
use crate::stored::{Stored, Storing};
use crate::warnings::Warnings;
use linpmem_formats::ImageWriter;
use linpmem_manifest::paths::{checksum_of, encryption_of, manifest_of, partial_of};
use linpmem_manifest::{
    ArtifactsRecord, FileRecord, Footer, HashedRecord, Header, ImageId, ManifestWriter,
    ReadBackRecord, ReadSpan, SecondPassTotals, Sha256Sum, Stamp, State, WrittenRecord,
};
use linpmem_phys::PhysLen;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The files that a run makes.
pub(crate) struct OutputSet<'a> {
    image: Destination<'a>,
    image_path: PathBuf,
    manifest: ManifestOutput,
    /// Artifacts in a file next to the image.
    artifacts: Option<OwnFile>,
    /// Whom all of them are encrypted to, if they are.
    encrypted: Option<Arc<Encrypted>>,
    limits: Limits,
    force: bool,
}

/// Where the image goes.
enum Destination<'a> {
    File(PartialFile),
    Stdout,
    Pipe(File),
    Remote(&'a Remote),
    Store(&'a Storing),
}

/// The names that image and manifest got.
pub(crate) struct Committed {
    pub(crate) image: PathBuf,
    pub(crate) manifest: PathBuf,
    /// What the receiver confirmed, if the image went to one.
    pub(crate) delivered: Option<Delivered>,
    /// Where it was stored, if it went to a store.
    pub(crate) stored: Option<Stored>,
    /// What is known without a key, if they are encrypted.
    pub(crate) encryption: Option<PathBuf>,
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
    /// The manifest, if it was sent away.
    sent_manifest: Option<ManifestSum>,
}

impl<'a> OutputSet<'a> {
    /// Creates what is written during the run, under working names.
    pub(crate) fn create(
        target: &'a Target,
        format: ImageFormat,
        plan: &Plan,
        encrypted: Option<&Arc<Encrypted>>,
        stop: &Stop,
    ) -> Result<Self, AcquireError> {
        let force = plan.force;
        let is_embedded = matches!(format, ImageFormat::Aff4(_));
        let in_memory = || AcquireError::io("keeping the manifest in memory");
        let in_file =
            |partial| ManifestOutput::file_in(partial, encrypted, is_embedded).map_err(in_memory());
        let (image, image_path, manifest) = match target {
            Target::Stream { stream, manifest } => {
                let partial = partial_of(manifest);
                let manifest = PartialFile::create(manifest, partial, force)?;
                let image = match stream {
                    Stream::Pipe(path) => Destination::Pipe(open_pipe(path, stop)?),
                    Stream::Stdout => Destination::Stdout,
                };
                (image, stream.name(), in_file(manifest)?)
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
                let file = Destination::File(file);
                (file, image.clone(), in_file(manifest)?)
            }
            Target::Remote(remote) => {
                let manifest = ManifestOutput::remote(remote, encrypted, is_embedded);
                let manifest = manifest.map_err(in_memory())?;
                let path = remote.image().to_path_buf();
                (Destination::Remote(remote), path, manifest)
            }
            Target::Store(storing) => {
                let manifest = Scratch::Memory.file();
                let manifest =
                    manifest.map_err(AcquireError::io("keeping the manifest in memory"))?;
                let path = storing.image().to_path_buf();
                (
                    Destination::Store(storing),
                    path,
                    ManifestOutput::Memory(manifest),
                )
            }
        };
        if encrypted.is_some() {
            let described = match target {
                Target::Stream { .. } => manifest.partial().map(PartialFile::path),
                Target::File { .. } => Some(image_path.as_path()),
                // Nothing there is replaced.
                Target::Remote(_) | Target::Store(_) => None,
            };
            let described = described.map(encryption_of);
            described.map_or(Ok(()), |path| sidecar::check_free(&path, force))?;
        }
        if let Some(file) = manifest.partial() {
            for path in [file.path(), file.partial()] {
                sidecar::check_unvouched(path, force)?;
            }
        }
        Ok(Self {
            image,
            image_path,
            manifest,
            artifacts: None,
            encrypted: encrypted.cloned(),
            limits: plan.impact.limits,
            force,
        })
    }

    /// The image's file, unless it goes elsewhere.
    pub(crate) const fn image(&self) -> Option<&PartialFile> {
        match &self.image {
            Destination::File(image) => Some(image),
            _ => None,
        }
    }

    /// Why others can replace the files, if they can.
    pub(crate) fn exposure(&self) -> Option<String> {
        if let Destination::Store(storing) = self.image {
            return storing.exposure();
        }
        let image = self.image().map(PartialFile::path);
        let manifest = self.manifest.partial().map(PartialFile::path);
        let mut files = image.into_iter().chain(manifest);
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
        let failed = AcquireError::io("opening the manifest");
        let reading = self.manifest.reading().map_err(failed)?;
        let failed = AcquireError::io("opening the manifest");
        let lines = self.manifest.lines(acquisition.plan).map_err(failed)?;
        let input_hash = extras.input_hash;
        if let Some(reading) = reading {
            let known = warnings.all().to_vec();
            extras.embedded.begin(reading, known, input_hash.clone());
        }
        let mut manifest = ManifestWriter::new(BufWriter::new(lines), header)
            .map_err(AcquireError::io("writing the manifest"))?;
        let mut sink = self
            .sink()
            .map_err(AcquireError::io("opening the output"))?;
        let mut after = After {
            is_read_again: extras.second_pass.is_some(),
            frozen: extras.frozen,
            late: extras.late,
            collected: None,
            image: self.image().map(PartialFile::path),
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
            .and_then(
                |()| match (extras.second_pass, self.image(), &outcome.end) {
                    (Some((format, source)), Some(image), End::Whole) => {
                        let again = Acquisition {
                            source,
                            ..acquisition
                        };
                        second_pass(&again, image.partial(), format, &mut manifest).map(Some)
                    }
                    _ => Ok(None),
                },
            );
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
            if let Destination::Store(storing) = self.image {
                for object in storing.records() {
                    manifest.object(&object)?;
                }
            }
            let warnings = warnings.all().to_vec();
            let footer = footer(&outcome, hashed, warnings, input_sha256);
            Ok((second_pass, manifest_output::end(manifest, &footer)?))
        });
        let (second_pass, sent_manifest) = ended.unwrap_or_else(|error| {
            // Without its manifest an image is not complete.
            if !matches!(outcome.end, End::Failed(_)) {
                outcome.end = End::Failed(RunError::Manifest(error));
            }
            (None, None)
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
            sent_manifest,
        })
    }

    /// Records that the image is whole, if it is: what is left are hashes, and a run that is
    /// killed then leaves an image that can be finished.
    fn record_written(
        &self,
        outcome: &Outcome,
        header: &Header,
        synced: Moment,
        manifest: &mut ManifestWriter<BufWriter<ManifestLines>>,
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
            Some(_) => self.manifest.sync(),
            None => Ok(()),
        }
    }

    fn sink(&self) -> io::Result<Box<dyn Sink>> {
        // Not std's stdout, which searches everything for line ends.
        let stream = match &self.image {
            Destination::File(image) => {
                let folder = folder_of(image.partial()).to_path_buf();
                let file = FileSink::new(image.file().try_clone()?, &folder)?;
                return Ok(match &self.encrypted {
                    None => Box::new(LimitedSink::new(file, self.limits, folder)),
                    Some(to) => {
                        let sink = EncryptedSink::new(file, &to.recipients, to.image.clone())?;
                        Box::new(LimitedSink::new(sink, self.limits, folder))
                    }
                });
            }
            Destination::Remote(remote) => {
                return self.elsewhere(RemoteSink::new(Arc::clone(remote.sender())));
            }
            Destination::Store(storing) => {
                return self.elsewhere(ObjectSink::new(Arc::clone(storing.upload())));
            }
            Destination::Pipe(pipe) => pipe.try_clone()?,
            Destination::Stdout => File::from(rustix::io::dup(rustix::stdio::stdout())?),
        };
        self.elsewhere(PipeSink::new(stream))
    }

    /// `sink`, which is on no disk of this machine, for what is encrypted if the run does that,
    /// and within the limits that apply to it.
    fn elsewhere(&self, sink: impl Sink + 'static) -> io::Result<Box<dyn Sink>> {
        let limits = Limits {
            min_free: PhysLen::ZERO,
            ..self.limits
        };
        let none = PathBuf::new();
        Ok(match &self.encrypted {
            None => Box::new(LimitedSink::new(sink, limits, none)),
            Some(to) => {
                let sink = EncryptedSink::new(sink, &to.recipients, to.image.clone())?;
                Box::new(LimitedSink::new(sink, limits, none))
            }
        })
    }

    /// Gives the files their final names: the image last, so that a file with that name is
    /// complete and has its manifest. An incomplete image keeps its working name.
    pub(crate) fn commit(
        self,
        written: &Written,
        id: ImageId,
        started: &Stamp,
    ) -> Result<Committed, AcquireError> {
        let is_whole = written.state.is_whole();
        let begun = (id, started.utc.as_str());
        if let Destination::Remote(remote) = self.image {
            return self.deliver(remote, written, begun);
        }
        if let (Destination::Store(storing), ManifestOutput::Memory(manifest)) =
            (&self.image, &self.manifest)
        {
            let stored = self.store(storing, manifest, written, begun)?;
            let named = match stored.is_complete {
                true => self.image_path.clone(),
                false => partial_of(&self.image_path),
            };
            return Ok(Committed {
                image: self.image_path,
                manifest: manifest_of(&named),
                delivered: None,
                stored: Some(stored),
                encryption: self.encrypted.is_some().then(|| encryption_of(&named)),
            });
        }
        let described = self.describe(written, begun)?;
        let sum = self.image_sum(written);
        let Some(manifest) = self.manifest.into_partial() else {
            return Err(AcquireError::io("naming the files")(io::Error::other(
                "the manifest has no file; this is a bug",
            )));
        };
        let (image, manifest) = match self.image {
            Destination::File(image) if !is_whole => {
                unvouch(manifest.partial(), self.force)?;
                if let Some(artifacts) = self.artifacts {
                    artifacts.leave();
                }
                (image.leave(), manifest.leave())
            }
            image => {
                let path = manifest.path().to_path_buf();
                unvouch(&path, self.force)?;
                self.artifacts.map_or(Ok(()), OwnFile::commit)?;
                manifest.commit()?;
                if let Destination::File(image) = image {
                    if let Some(sum) = sum {
                        sidecar::write_checksum(&self.image_path, sum, self.force)?;
                    }
                    image.commit()?;
                }
                (self.image_path, path)
            }
        };
        Ok(Committed {
            image,
            manifest,
            delivered: None,
            stored: None,
            encryption: described,
        })
    }

    /// Writes what is known without a key next to an encrypted image, or to its manifest, and
    /// returns where that is.
    fn describe(
        &self,
        written: &Written,
        (id, started): (ImageId, &str),
    ) -> Result<Option<PathBuf>, AcquireError> {
        let (Some(encrypted), Some(manifest)) = (&self.encrypted, self.manifest.partial()) else {
            return Ok(None);
        };
        let is_left = self.image().is_some() && !written.state.is_whole();
        let name = |partial: &'_ PartialFile| match is_left {
            true => partial.partial().to_path_buf(),
            false => partial.path().to_path_buf(),
        };
        let image = self.image().map(name);
        let manifest = name(manifest);
        let artifacts = self.artifacts.as_ref().map(|file| match is_left {
            true => file.working_path(),
            false => file.path(),
        });
        let record = encrypted.record(
            id,
            started,
            written.state,
            [image.as_deref(), Some(&manifest), artifacts],
            Vec::new(),
        );
        let path = encryption_of(image.as_ref().unwrap_or(&manifest));
        let text = record.to_text();
        let text = text.map_err(AcquireError::io("describing what was encrypted"))?;
        // One that an interrupted run left was of files that are replaced now.
        PartialFile::write(&path, &text, self.force || is_left)?;
        Ok(Some(path))
    }

    /// The sum of the image's file as it is, encrypted or not.
    fn image_sum(&self, written: &Written) -> Option<Sha256Sum> {
        match &self.encrypted {
            None => written.outcome.file.sha256,
            Some(to) => to.image.get().map(|sum| sum.sha256),
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

fn footer(
    outcome: &Outcome,
    hashed: Option<HashedRecord>,
    warnings: Vec<String>,
    source_sha256: Option<Sha256Sum>,
) -> Footer {
    Footer {
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
    }
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
