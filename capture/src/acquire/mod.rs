// SPDX-License-Identifier: MIT OR Apache-2.0
//! One acquisition, from the plan to the finished files.

mod departure;
mod disk_space;
mod records;

use crate::artifacts::{ArtifactsRequest, CollectedArtifacts, LateArtifacts};
use crate::away::AwayError;
use crate::clock::Moment;
use crate::compression_choice;
use crate::driver::LoadedDriver;
use crate::embedded_manifest::EmbeddedManifest;
use crate::encryption::Encrypted;
use crate::error::AcquireError;
use crate::events::Events;
use crate::freeze::{self, Frozen};
use crate::hash::Backend;
use crate::image_format::{ImageFormat, Output, Shape, Target};
use crate::image_writer::{ImageParts, open_writer};
use crate::input_hash::InputHash;
use crate::live_memory::LiveMemory;
use crate::meter::Meter;
use crate::output_set::{Extras, OutputSet};
use crate::pipeline::{Acquisition, Outcome};
use crate::plan::{Compression, HashSpec, Plan, ReadOrder};
use crate::prefetch::Prefetched;
use crate::random::random;
use crate::reader::ReadPages;
use crate::remote::Delivered;
use crate::selection::Selected;
use crate::sidecar::{self, CrashOptions};
use crate::sink::folder_of;
use crate::source::{Source, Subject, Volatile};
use crate::stop::Stop;
use crate::stored::Stored;
use crate::warnings::Warnings;
use departure::Departure;
use linpmem_formats::{Codec, ImagePlan, PlannedRange, raw};
use linpmem_manifest::{
    ArtifactsRecord, Header, Host, ImageId, MachineRecord, ReadBackRecord, ReadSpan,
    SecondPassTotals, SourceRecord, State, Version,
};
use linpmem_phys::{PhysLen, PhysRange};
use records::{image_record, map_entries, prefetched_record};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The result of an acquisition.
#[derive(Debug)]
pub struct Acquired {
    /// How it ended.
    pub state: State,
    /// The image; `-` for stdout. It keeps its working name if it is incomplete.
    pub image: PathBuf,
    /// The manifest. It keeps its working name if the image does.
    pub manifest: PathBuf,
    /// Where the memory came from, in words.
    pub source: String,
    /// Whose memory it is.
    pub subject: Subject,
    /// The machine whose memory it is.
    pub machine: MachineRecord,
    /// Where the image went, if it went to another machine, and what was confirmed there.
    pub delivered: Option<Delivered>,
    /// Where the image was stored, if it went to a store.
    pub stored: Option<Stored>,
    /// The file with what is known without a key, if all others are encrypted.
    pub encryption: Option<PathBuf>,
    /// The result of the pipeline.
    pub outcome: Outcome,
    /// Bytes that the plan reads.
    pub planned: PhysLen,
    /// RAM that shares its page with something else, which the kernel does not use and
    /// the source does not have.
    pub partial_pages: Vec<PhysRange>,
    /// Ranges that the plan reads.
    pub ranges: usize,
    /// The image's format and compression.
    pub shape: Shape,
    /// What crash has to be told of the image, if it needs more than the image's name.
    pub crash: Option<CrashOptions>,
    /// What had changed when the second pass read it again, if there was one.
    pub second_pass: Option<SecondPassTotals>,
    /// When memory was read, from the first page to the last.
    pub read: Option<ReadSpan>,
    /// The time until the image was on the disk.
    pub synced: Duration,
    /// The time until its hashes were ready, without the second pass.
    pub elapsed: Duration,
    /// What of the file was read back from the disk to be hashed.
    pub read_back: Option<ReadBackRecord>,
    /// What was collected with the memory.
    pub artifacts: Option<ArtifactsRecord>,
}

/// Carries out `plan`, until a signal, its timeout or the end.
///
/// # Errors
/// If the run did not begin, or its files could not get their final names. A run that
/// began and failed is an [`Acquired`] whose state says so.
pub fn acquire(plan: &Plan, events: &mut dyn Events) -> Result<Acquired, AcquireError> {
    let run = Prepared::new(plan)?;
    let mut stop = Stop::on_signals().map_err(AcquireError::io("catching signals"))?;
    if let Some(timeout) = plan.impact.timeout {
        stop = stop.with_timeout(timeout);
    }
    if let Some(nice) = plan.impact.nice {
        // Threads that this one starts inherit it.
        rustix::process::nice(nice)
            .map_err(|errno| AcquireError::io("lowering the priority")(errno.into()))?;
    }
    let driver = LoadedDriver::load(&plan.driver, |warning| events.warning(warning))?;
    let acquired = Source::read(&plan.source, &plan.reading)
        .map_err(AcquireError::from)
        .and_then(|source| run.acquire(&source, &stop, events));
    // The source is closed by now.
    if let Err(error) = driver.unload() {
        events.warning(&error.to_string());
    }
    acquired
}

/// The same with a source that is open already, until `stop` is raised.
///
/// # Errors
/// As [`acquire`].
pub fn acquire_from(
    plan: &Plan,
    source: &Source,
    stop: &Stop,
    events: &mut dyn Events,
) -> Result<Acquired, AcquireError> {
    Prepared::new(plan)?.acquire(source, stop, events)
}

/// A plan with its compression decided.
struct Prepared<'a> {
    plan: &'a Plan,
    started: Moment,
    host: Host,
    id: ImageId,
    shape: Shape,
    /// The reason for the compression, if it was measured.
    choice: Option<String>,
}

/// A plan with all names decided.
struct Run<'a> {
    plan: &'a Plan,
    started: Moment,
    id: ImageId,
    host: Host,
    shape: Shape,
    target: Target,
    encrypted: Option<Arc<Encrypted>>,
    meter: Arc<Meter>,
}

/// The most bytes of holes that are hashed: some ten seconds on most machines.
const MAX_HASHED_HOLES_BYTES: u64 = 16 << 30;

/// Bytes per second that most machines read and write at least.
const PROBABLE_RATE: u64 = 500 << 20;

impl<'a> Prepared<'a> {
    /// Decides what `plan` leaves open. This is the start time of the run.
    fn new(plan: &'a Plan) -> Result<Self, AcquireError> {
        let started = Moment::now();
        let host = crate::host::this_machine();
        let [random] = random().map_err(AcquireError::io("reading /dev/urandom"))?;
        let (codec, choice) = match plan.image.compression {
            Compression::Fixed(codec) => (codec, None),
            Compression::Measured => {
                let folder = match &plan.output {
                    Output::Named { .. } => Some(Path::new(".")),
                    Output::File { image, .. } => Some(folder_of(image)),
                    Output::Stream { .. } | Output::Remote(_) | Output::Store(_) => None,
                };

                let (codec, why) = compression_choice::choose(folder, plan.threads)
                    .map_err(AcquireError::io("choosing a compression"))?;
                (codec, Some(why))
            }
        };
        let shape = Shape {
            format: plan.image.format,
            codec,
        };
        Ok(Self {
            plan,
            started,
            host,
            id: ImageId::from_random(random),
            shape,
            choice,
        })
    }

    fn acquire(
        self,
        source: &Source,
        stop: &Stop,
        events: &mut dyn Events,
    ) -> Result<Acquired, AcquireError> {
        let selected = self.plan.selection.apply(&source.map)?;
        check_served(&selected, &source.record)?;
        let plan = ImagePlan::new(selected.read.clone(), source.machine.clone())?;
        let mut warnings = Warnings::new(events);
        warnings.extend(source.warnings.iter().chain(&self.choice).cloned());
        let meter = Arc::new(Meter::default());
        let run = Run {
            target: self.target(&plan, stop, &meter)?,
            plan: self.plan,
            started: self.started,
            id: self.id,
            host: self.host,
            shape: self.shape,
            encrypted: self
                .plan
                .encryption
                .as_ref()
                .map(Encrypted::to)
                .map(Arc::new),
            meter,
        };
        run.acquire(source, &selected, &plan, stop, &mut warnings)
    }

    /// The names of the files. The receiver of a remote image is asked for its name.
    fn target(
        &self,
        plan: &ImagePlan,
        stop: &Stop,
        meter: &Arc<Meter>,
    ) -> Result<Target, AwayError> {
        let (host, utc) = (&self.host.hostname, self.started.compact());
        let away = Departure {
            prepared: self,
            plan,
            stop,
            meter,
        };
        let target = Target::of(&self.plan.output, self.shape, host, &utc, away)?;
        Ok(match self.plan.encryption {
            Some(_) => target.encrypted(),
            None => target,
        })
    }
}

impl Run<'_> {
    fn acquire(
        &self,
        source: &Source,
        selected: &Selected,
        plan: &ImagePlan,
        stop: &Stop,
        warnings: &mut Warnings<'_>,
    ) -> Result<Acquired, AcquireError> {
        let is_tight = self.check_space(plan, warnings)?;
        self.check_swap(plan, warnings)?;

        let mut outputs = OutputSet::create(
            &self.target,
            self.shape.format,
            self.plan,
            self.encrypted.as_ref(),
            stop,
        )?;
        warnings.extend(outputs.exposure());
        self.check_length(outputs.image(), plan, warnings)?;
        let embedded = EmbeddedManifest::default();
        let request = self.artifacts_request(source, stop);
        let (artifacts, late) = if request.is_late() {
            (None, Some(LateArtifacts::prepare(request)?))
        } else {
            let kept = self.collect_artifacts(&request, plan, is_tight, warnings)?;
            (kept, None)
        };
        let mut writer = open_writer(
            self.plan,
            self.shape,
            plan,
            ImageParts {
                file_name: self.target.file_name(),
                machine: &source.machine_record,
                artifacts: artifacts.as_ref(),
                late: late.as_ref(),
                manifest: &embedded,
            },
            warnings,
        )?;
        let artifacts = artifacts.map(|kept| outputs.hold(kept));

        let frozen = self.freeze(plan, &self.meter, warnings)?;
        let hashes = self.file_hashes(plan, warnings);
        let live = LiveMemory::new(source, self.plan);
        let prefetched = self.prefetch(&live, source, plan, stop, warnings)?;
        let header = Header {
            frozen: frozen.as_ref().map_or_else(Vec::new, Frozen::names),
            read_first: prefetched
                .as_ref()
                .map(|prefetched| prefetched_record(prefetched, self.started)),
            artifacts: artifacts.clone(),
            artifacts_file: late.as_ref().and_then(LateArtifacts::file_name),
            ..self.header(source, selected, plan)
        };

        warnings
            .events()
            .started(&self.meter, plan.total(), self.shape.is_compressed());
        let unprefetched: &dyn ReadPages = &live;
        let acquisition = Acquisition {
            source: prefetched
                .as_ref()
                .map_or(unprefetched, |prefetched| prefetched),
            plan,
            codec: self.shape.codec,
            hashes: &hashes,
            workers: self.plan.threads,
            backend: Backend::best(),
            bytes_per_s: self.plan.impact.bytes_per_s,
            started: self.started,
            stop,
            meter: &self.meter,
        };
        let extras = Extras {
            // What was prefetched is read again as well.
            second_pass: self
                .plan
                .second_pass
                .then_some((self.shape.format, unprefetched)),
            frozen,
            input_hash: InputHash::wanted(self.plan, stop),
            embedded: &embedded,
            late,
        };
        let mut written = outputs.write(acquisition, &mut *writer, &header, warnings, extras)?;
        warnings.events().finished();

        let late = written.late.take().map(|kept| outputs.hold(kept));
        let committed = outputs.commit(&written, self.id, &header.started)?;
        let crash = self.write_crash_files(&committed.image, written.state, plan, warnings);
        Ok(Acquired {
            state: written.state,
            image: committed.image,
            manifest: committed.manifest,
            delivered: committed.delivered,
            stored: committed.stored,
            encryption: committed.encryption,
            source: source
                .record
                .describe(|kind| selected.read.iter().any(|read| read.kind.name() == kind)),
            subject: source.subject,
            machine: source.machine_record.clone(),
            planned: plan.total(),
            partial_pages: self.plan.selection.partial_pages(selected),
            ranges: plan.ranges().len(),
            shape: self.shape,
            crash,
            second_pass: written.second_pass,
            read: written.read,
            synced: written.synced,
            elapsed: written.elapsed,
            read_back: written.read_back,
            outcome: written.outcome,
            artifacts: artifacts.or(late),
        })
    }

    /// The hashes of the file. A hole takes no space, but as long to hash as memory does, and
    /// the machine's addresses can have holes of terabytes.
    fn file_hashes(&self, plan: &ImagePlan, warnings: &mut Warnings<'_>) -> HashSpec {
        let wanted = &self.plan.hashes;
        let is_padded = self.shape.format == ImageFormat::Raw(raw::Layout::Padded);
        let has_holes = is_padded && self.shape.codec == Codec::None;
        // The ranges are disjoint and lie below the end of the last one.
        let holes = plan.end().get() - plan.total().get();
        let has_hash = wanted.file_sha256 || !wanted.further.is_empty();
        // The receiver makes the sum of the file, from what its disk has. Here, those of chunks and
        // remainder cover every byte, and nobody has to wait for one more.
        if matches!(self.target, Target::Remote(_)) && self.is_plain() {
            return HashSpec {
                file_sha256: false,
                ..wanted.clone()
            };
        }
        if !has_holes || holes <= MAX_HASHED_HOLES_BYTES || !has_hash {
            return wanted.clone();
        }
        warnings.add(format!(
            "the image will have no hash of the whole file, because its holes, {}, would have to \
             be hashed too; the hashes of chunks, ranges and everything else still cover every \
             byte (--format elf has no holes)",
            PhysLen::new(holes)
        ));
        HashSpec {
            read_back: wanted.read_back,
            ..HashSpec::default()
        }
    }

    /// Whether memory is in the file unchanged, so that the sums of chunks and remainder cover
    /// every byte of it.
    fn is_plain(&self) -> bool {
        !self.shape.is_compressed()
            && !matches!(
                self.shape.format,
                ImageFormat::Aff4(_) | ImageFormat::Kdump(_) | ImageFormat::Avml
            )
    }

    /// Which artifacts are to be collected.
    fn artifacts_request<'s>(&'s self, source: &'s Source, stop: &'s Stop) -> ArtifactsRequest<'s> {
        ArtifactsRequest {
            wanted: &self.plan.artifacts,
            format: self.shape.format,
            target: &self.target,
            encrypted: self.encrypted.as_ref(),
            force: self.plan.force,
            source,
            spec: &self.plan.source,
            reading: &self.plan.reading,
            timeout: self.plan.page_timeout,
            stop,
        }
    }

    /// Collects the artifacts now. They are dropped if the image would not fit with them.
    fn collect_artifacts(
        &self,
        request: &ArtifactsRequest<'_>,
        plan: &ImagePlan,
        is_tight: bool,
        warnings: &mut Warnings<'_>,
    ) -> Result<Option<CollectedArtifacts>, AcquireError> {
        let kept = request.collect(&mut |warning| warnings.add(warning))?;
        match kept {
            // Otherwise the user already has the warning that the image may not fit.
            Some(kept) if !is_tight => Ok(self.drop_artifacts_if_full(kept, plan, warnings)?),
            kept => Ok(kept),
        }
    }

    /// Suspends other programs, if the plan says so.
    fn freeze(
        &self,
        plan: &ImagePlan,
        meter: &Arc<Meter>,
        warnings: &mut Warnings<'_>,
    ) -> Result<Option<Frozen>, AcquireError> {
        let Some(limit) = self.plan.impact.freeze else {
            return Ok(None);
        };
        if let Target::File { image, .. } = &self.target {
            freeze::check_output(folder_of(image))?;
        }
        let rate = self
            .plan
            .impact
            .bytes_per_s
            .map_or(PROBABLE_RATE, NonZeroU64::get);
        if plan.total().get() / rate > limit.as_secs() {
            warnings.add(format!(
                "--freeze: reading {} will probably take longer than {} s; the other programs \
                 are resumed then (--freeze-limit)",
                plan.total(),
                limit.as_secs()
            ));
        }
        let frozen = Frozen::begin(Arc::clone(meter), limit, &mut |warning| {
            warnings.add(warning)
        })?;
        Ok(Some(frozen))
    }

    /// Reads what changes fastest, if the plan wants it first.
    fn prefetch<'s>(
        &self,
        live: &'s dyn ReadPages,
        source: &Source,
        plan: &ImagePlan,
        stop: &Stop,
        warnings: &mut Warnings<'_>,
    ) -> Result<Option<Prefetched<'s>>, AcquireError> {
        if self.plan.order == ReadOrder::Address {
            return Ok(None);
        }
        if source.subject != Subject::RunningKernel {
            warnings.add("nothing was read first: this memory does not change any more".to_owned());
            return Ok(None);
        }
        let ranges: Vec<_> = plan.ranges().iter().map(|planned| planned.range).collect();
        let volatile = Volatile::find(&ranges, source.iomem.as_deref());
        for omission in volatile.omitted {
            warnings.add(format!("not read first: {omission}"));
        }
        Ok(Some(Prefetched::read(live, &volatile.pages, stop)?))
    }

    fn header(&self, source: &Source, selected: &Selected, plan: &ImagePlan) -> Header {
        Header {
            manifest_version: Version,
            tool: self.plan.tool.clone(),
            command: self.plan.command.clone(),
            host: self.host.clone(),
            custody: self.plan.custody.clone(),
            source: source.record.clone(),
            started: self.started.stamp(),
            machine: source.machine_record.clone(),
            iomem: source.iomem.clone(),
            frozen: Vec::new(),
            read_first: None,
            map: map_entries(selected, &source.record),
            image: image_record(&self.target, self.id, self.shape, plan),
            artifacts: None,
            artifacts_file: None,
        }
    }

    /// For a complete padded raw image: writes the file that crash needs, and returns the
    /// options for it.
    fn write_crash_files(
        &self,
        image: &Path,
        state: State,
        plan: &ImagePlan,
        warnings: &mut Warnings<'_>,
    ) -> Option<CrashOptions> {
        let is_padded = self.shape.format == ImageFormat::Raw(raw::Layout::Padded);
        // VMCOREINFO is of the memory.
        if self.encrypted.is_some()
            || !is_padded
            || !state.is_whole()
            || !matches!(self.target, Target::File { .. })
        {
            return None;
        }
        if let Err(error) = sidecar::write_vmcoreinfo(image, plan.machine(), self.plan.force) {
            warnings.add(error.to_string());
        }
        CrashOptions::of(plan.machine()).filter(|_| !self.shape.is_compressed())
    }
}

/// Checks that the source can read some of the selected memory: otherwise the image would
/// contain nothing but zeros.
fn check_served(selected: &Selected, source: &SourceRecord) -> Result<(), AcquireError> {
    let is_served = |planned: &PlannedRange| source.serving(planned.kind.name()).is_some();
    if selected.read.iter().any(is_served) {
        return Ok(());
    }
    let mut kinds: Vec<&str> = Vec::new();
    for planned in &selected.read {
        if !kinds.contains(&planned.kind.name()) {
            kinds.push(planned.kind.name());
        }
    }
    Err(AcquireError::Unserved {
        kinds: kinds.join(", "),
        served: source.to_string(),
    })
}
