// SPDX-License-Identifier: MIT OR Apache-2.0
//! One acquisition, from the command line to the files.

mod error;
mod records;
mod room;

pub use error::AcquireError;

use crate::args::{AcquireArgs, OnError, Order};
use crate::clock::Moment;
use crate::compression_choice;
use crate::crash_command::{crash_command, write_vmcoreinfo};
use crate::driver::LoadedDriver;
use crate::evidence::Run;
use crate::files::{Beside, Files, Ran};
use crate::freeze::{self, Frozen};
use crate::manifest::{EvidenceRecord, Header, Host, SoFar, SourceRecord, Tool};
use crate::naming::{ImageFormat, Shape, Target};
use crate::notation::{CompressSpec, SourceSpec};
use crate::pipeline::Acquisition;
use crate::progress::{Meter, Progress};
use crate::selection::{Selected, Selection};
use crate::sink::folder_of;
use crate::source::{Held, Source, Strict, Volatile};
use crate::source_sum::SourceSum;
use crate::stop::Stop;
use crate::summary::Summary;
use crate::symbols;
use crate::writers::Ingredients;
use linpmem_formats::{ImagePlan, PlannedRange, raw};
use linpmem_phys::ReadPhys;
use records::{held_record, image_record, map_entries};
use std::io::{self, IsTerminal};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Bytes in a MiB.
const MIB: NonZeroU64 = NonZeroU64::new(1 << 20).unwrap();
/// More workers than this wait for the one reader.
const MAX_DEFAULT_WORKERS: usize = 4;

/// Acquires as `args` say. `command` is the command line, for the manifest;
/// `warn` is told what the user should know at once.
///
/// # Errors
/// If the run did not begin, or its files could not get their names. A run that
/// began and failed is a summary.
pub fn acquire(
    args: &AcquireArgs,
    command: Vec<String>,
    mut warn: impl FnMut(&str),
) -> Result<Summary, AcquireError> {
    let request = Request::new(args, command)?;
    let failed = |action| move |source| AcquireError::Io { action, source };
    let mut stop = Stop::on_signals().map_err(failed("catching signals"))?;
    if let Some(seconds) = args.run.care.timeout {
        stop = stop.with_timeout(Duration::from_secs(seconds.get().into()));
    }
    if let Some(nice) = args.run.care.nice {
        // Every thread inherits it from this one.
        rustix::process::nice(nice)
            .map_err(|errno| failed("lowering the priority")(errno.into()))?;
    }
    let driver = LoadedDriver::load(&args.driver, &mut warn)?;
    let outcome = open(args).and_then(|source| request.run(&source, &stop, &mut warn));
    // The source is closed by now.
    if let Err(error) = driver.unload() {
        warn(&error.to_string());
    }
    outcome
}

/// The source of `args`. Images do not hang.
fn open(args: &AcquireArgs) -> Result<Source, AcquireError> {
    let source = Source::open(&args.selection.source)?;
    Ok(match (&args.selection.source, args.page_timeout) {
        (SourceSpec::Image(_), _) | (_, 0) => source,
        (_, seconds) => source.with_patience(Duration::from_secs(seconds)),
    })
}

/// A command line that makes sense.
#[derive(Debug)]
pub struct Request<'a> {
    args: &'a AcquireArgs,
    command: Vec<String>,
    started: Moment,
    host: Host,
    shape: Shape,
    /// Why it is compressed as it is, if that was found out.
    choice: Option<String>,
    target: Target,
}

impl<'a> Request<'a> {
    /// What `args` mean. The run counts as begun here.
    ///
    /// # Errors
    /// If they contradict each other.
    pub fn new(args: &'a AcquireArgs, command: Vec<String>) -> Result<Self, AcquireError> {
        let started = Moment::now();
        let host = Host::current();
        let mut shape = Shape::of(args)?;
        let mut choice = None;
        if args
            .image
            .compress
            .as_ref()
            .is_some_and(CompressSpec::is_auto)
            && !shape.is_compressed()
        {
            let output = args.output.as_deref().unwrap_or(Path::new("."));
            let folder = (output != Path::new("-")).then(|| folder_of(output));
            let (codec, why) = compression_choice::choose(folder, workers(args.run.threads))
                .map_err(|source| AcquireError::Io {
                    action: "choosing a compression",
                    source,
                })?;
            shape.codec = codec;
            choice = Some(why);
        }
        if args.order == Order::VolatileFirst
            && matches!(args.selection.source, SourceSpec::Image(_))
        {
            return Err(AcquireError::OrderOfImage);
        }
        let target = Target::of(
            args.output.as_deref(),
            shape,
            &host.hostname,
            &started.compact(),
        )?;
        if target == Target::Stdout {
            if args.run.manifest.is_none() {
                return Err(AcquireError::StdoutWithoutManifest);
            }
            if args.second_pass {
                return Err(AcquireError::SecondPassOfStdout);
            }
            if io::stdout().is_terminal() {
                return Err(AcquireError::StdoutIsTerminal);
            }
        }
        Ok(Self {
            args,
            command,
            started,
            host,
            shape,
            choice,
            target,
        })
    }

    /// Acquires from `source`, until `stop` is raised.
    ///
    /// # Errors
    /// As [`acquire`].
    pub fn run(
        self,
        source: &Source,
        stop: &Stop,
        mut warn: impl FnMut(&str),
    ) -> Result<Summary, AcquireError> {
        let Self { shape, started, .. } = self;
        let is_compressed = shape.is_compressed();
        let is_padded = shape.format == ImageFormat::Raw(raw::Layout::Padded);
        let force = self.args.run.force;
        let selected = Selection::from(&self.args.selection).apply(&source.map)?;
        check_served(&selected, &source.record)?;
        let plan = ImagePlan::new(selected.read.clone(), source.machine.clone())?;
        let mut warnings = source.warnings.clone();
        warnings.extend(self.choice.clone());
        let tight = self.room(&plan, 0)?;
        let is_tight = tight.is_some();
        warnings.extend(tight);
        warnings.iter().for_each(|warning| warn(warning));

        let symbols = symbols::Wish::of(self.args, &self.target)?;
        if let (Target::File(path), true) = (&self.target, self.args.run.care.freeze) {
            freeze::check_output(folder_of(path))?;
        }
        let mut files = Files::create(&self.target, self.args)?;
        let so_far = SoFar::default();
        let mut own = Vec::new();
        let run = Run {
            args: self.args,
            shape,
            target: &self.target,
            source,
            stop,
        };
        let prepared = run.evidence(&mut own).map_err(AcquireError::from);
        let prepared = prepared.and_then(|kept| {
            if is_tight {
                // It may not fit without evidence either, and that was said.
                return Ok(kept);
            }
            Ok(self.fitting(kept, &plan, &mut own)?)
        });
        let prepared = prepared.and_then(|mut kept| {
            files.hold(&mut kept);
            let ingredients = Ingredients {
                args: self.args,
                shape,
                file_name: self.file_name(),
                machine: &source.machine_record,
                evidence: kept.as_ref(),
                manifest: &so_far,
            };
            let writer = ingredients.writer(&plan, &mut own)?;
            Ok((kept.map(|kept| kept.record), writer))
        });
        let (evidence, mut writer) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                files.discard();
                return Err(error);
            }
        };
        own.iter().for_each(|warning| warn(warning));
        warnings.extend(own);
        let meter = Arc::new(Meter::default());
        let strict = Strict(&*source.reader);
        let live: &dyn ReadPhys = match self.args.on_error {
            OnError::List => &*source.reader,
            OnError::Fail => &strict,
        };
        let mut tell = |warning: String| {
            warn(&warning);
            warnings.push(warning);
        };
        let frozen = self.freeze(&meter, &mut tell);
        let before = frozen.and_then(|frozen| {
            let held = self.read_first(live, source, &plan, stop, &mut tell)?;
            Ok((frozen, held))
        });
        let (frozen, held) = match before {
            Ok(before) => before,
            Err(error) => {
                files.discard();
                return Err(error);
            }
        };
        let hashes = self.args.image.hashes.further();
        let acquisition = Acquisition {
            source: held.as_ref().map_or(live, |held| held),
            plan: &plan,
            codec: shape.codec,
            hashes: &hashes,
            has_file_sum: !self.args.image.hashes.no_file_hash,
            workers: workers(self.args.run.threads),
            bytes_per_s: self
                .args
                .run
                .care
                .rate
                .map(|mib| MIB.saturating_mul(mib.into())),
            started,
            stop,
            meter: &meter,
        };
        let progress = Progress::show(
            self.args.run.progress,
            Arc::clone(&meter),
            plan.total().get(),
            is_compressed,
        );
        let source_sum = SourceSum::wanted(&self.args.selection, stop);
        let beside = Beside {
            // What was held has to be read once more as well.
            second_pass: self.args.second_pass.then_some((shape.format, live)),
            frozen,
            source_sum: source_sum.clone(),
            so_far: &so_far,
        };
        let first = held.as_ref().map(|held| held_record(held, started));
        let frozen = beside.frozen.as_ref();
        let mut header = self.header(source, &selected, &plan, frozen, evidence.clone());
        header.read_first = first;
        let ran = files.run(acquisition, &mut *writer, &header, warnings, beside);
        progress.end();
        let Ran {
            outcome,
            state,
            second_pass,
            elapsed,
        } = match ran {
            Ok(ran) => ran,
            Err(error) => {
                files.discard();
                return Err(error);
            }
        };
        if let Some(why) = source_sum.as_deref().and_then(SourceSum::trouble) {
            warn(why);
        }
        let (image, manifest) = files.end(&outcome, state)?;
        let crash = if is_padded && state.is_whole() && image.as_os_str() != "-" {
            if let Err(error) = write_vmcoreinfo(&image, plan.machine(), force) {
                warn(&error.to_string());
            }
            crash_command(&image, plan.machine()).filter(|_| !is_compressed)
        } else {
            None
        };
        let symbols = symbols
            .filter(|_| state.is_whole())
            .and_then(|wish| wish.grant(&source.machine_record, &mut warn));
        Ok(Summary {
            state,
            symbols,
            image,
            manifest,
            source: source
                .record
                .describe(|kind| selected.read.iter().any(|read| read.kind.name() == kind)),
            outcome,
            planned: plan.total(),
            ranges: plan.ranges().len(),
            shape,
            crash,
            paging_levels: plan.machine().paging_levels,
            second_pass,
            elapsed,
            evidence,
        })
    }

    /// Stops other programs, if that was asked for.
    fn freeze(
        &self,
        meter: &Arc<Meter>,
        tell: &mut dyn FnMut(String),
    ) -> Result<Option<Frozen>, AcquireError> {
        if !self.args.run.care.freeze {
            return Ok(None);
        }
        Ok(Some(Frozen::begin(Arc::clone(meter), tell)?))
    }

    /// Reads what is to be read before its turn.
    fn read_first<'s>(
        &self,
        live: &'s dyn ReadPhys,
        source: &Source,
        plan: &ImagePlan,
        stop: &Stop,
        tell: &mut dyn FnMut(String),
    ) -> Result<Option<Held<'s>>, AcquireError> {
        if self.args.order == Order::Address {
            return Ok(None);
        }
        let ranges: Vec<_> = plan.ranges().iter().map(|planned| planned.range).collect();
        let volatile = Volatile::find(&ranges, source.iomem.as_deref());
        for lack in volatile.lacks {
            tell(format!("not read first: {lack}"));
        }
        Ok(Some(Held::read(live, volatile.pages, stop)?))
    }

    /// The name of the image without its folder; `None` for stdout.
    fn file_name(&self) -> Option<String> {
        let Target::File(path) = &self.target else {
            return None;
        };
        Some(path.file_name()?.to_string_lossy().into_owned())
    }

    fn header(
        self,
        source: &Source,
        selected: &Selected,
        plan: &ImagePlan,
        frozen: Option<&Frozen>,
        evidence: Option<EvidenceRecord>,
    ) -> Header {
        Header {
            tool: Tool {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            image: image_record(&self.target, self.shape, plan),
            command: self.command,
            host: self.host,
            source: source.record.clone(),
            started: self.started.stamp(),
            machine: source.machine_record.clone(),
            iomem: source.iomem.clone(),
            frozen: frozen.map_or_else(Vec::new, Frozen::names),
            read_first: None,
            map: map_entries(selected, &source.record),
            evidence,
        }
    }
}

/// A run whose sources have nothing of what it is to read makes no image of zeros.
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

/// How many threads hash and compress: as many as there are CPUs for them,
/// unless `asked`.
#[must_use]
pub fn workers(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    asked.unwrap_or_else(|| {
        let most = NonZeroUsize::new(MAX_DEFAULT_WORKERS).unwrap_or(NonZeroUsize::MIN);
        std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |cpus| cpus.min(most))
    })
}
