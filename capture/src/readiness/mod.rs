// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an acquisition of this machine would be like, before there is one: which sources work,
//! what they reach, whether the module can be loaded, what the kernel tells of itself, and how
//! fast memory is read and can be kept. No memory is written anywhere.

mod destination;
mod module;
mod speed;
mod tried;

pub use crate::rate::Rate;
pub use destination::{Destination, Folder, Place};
pub use module::ModuleReadiness;
pub use speed::MeasuredRead;
pub use tried::Tried;

use crate::Reading;
use crate::artifacts::{Described, describe};
use crate::driver::{DriverSpec, LoadedDriver};
use crate::host::this_machine;
use crate::selection::{NothingSelected, Selected, Selection};
use crate::source::{Iomem, IomemError, Source, SourceSpec, Subject};
use crate::stop::Stop;
use linpmem_formats::{ImagePlan, MachineFacts, PlanError};
use linpmem_manifest::{Host, MachineRecord, SourceRecord};
use linpmem_phys::{MemoryMap, PhysLen, RegionKind};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// How long each measurement takes.
const MEASURED: Duration = Duration::from_secs(1);

/// What is examined.
#[derive(Clone, Debug)]
pub struct Examination {
    /// What would be read.
    pub selection: Selection,
    /// Whether the module is loaded while the machine is examined.
    pub driver: DriverSpec,
    /// Where the image would go.
    pub place: Place,
    /// Whether reading and writing are measured.
    pub measures: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Readiness {
    /// This machine.
    pub host: Host,
    /// What is known of its memory.
    pub machine: MachineRecord,
    /// Every source that a running machine can have.
    pub sources: Vec<Tried>,
    /// What would be used, or why nothing can be.
    pub source: Result<SourceRecord, String>,
    /// Whether the memory is that of a kernel that crashed.
    pub is_crashed: bool,
    /// What the module's loading and the source have to say.
    pub warnings: Vec<String>,
    /// The memory by kind.
    pub kinds: BTreeMap<RegionKind, Kind>,
    /// Memory that would be read.
    pub planned: PhysLen,
    /// The module.
    pub module: ModuleReadiness,
    /// Why the module that should be loaded was not, or was not unloaded afterwards.
    pub driver_trouble: Option<String>,
    /// What the kernel tells of itself.
    pub described: Described,
    /// How fast memory is read and hashed; `None` if that was not measured.
    pub read: Option<Result<MeasuredRead, String>>,
    /// Where the image would go.
    pub destination: Destination,
}

/// The memory of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// All of it.
    pub bytes: u64,
    /// What would be read of it.
    pub read_bytes: u64,
    /// The source that has it.
    pub source: Option<String>,
}

/// A machine that could not be examined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamineError {
    /// /proc/iomem cannot be read.
    #[error(transparent)]
    Iomem(#[from] IomemError),
    /// The options select no memory.
    #[error(transparent)]
    Nothing(#[from] NothingSelected),
    /// No image can have such ranges.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It was asked to stop.
    #[error("stopped before everything was examined")]
    Stopped,
    /// The signals cannot be caught.
    #[error("catching signals: {0}")]
    Signals(#[source] io::Error),
}

/// Examines this machine. A module that is loaded for that is unloaded at the end.
///
/// # Errors
/// If there is no memory map, or nothing in it is selected. What does not work is in the result.
pub fn examine(examination: &Examination) -> Result<Readiness, ExamineError> {
    let stop = Stop::on_signals().map_err(ExamineError::Signals)?;
    // Before one is loaded.
    let module = ModuleReadiness::of_this_machine();
    let mut warnings = Vec::new();
    let loaded = LoadedDriver::load(&examination.driver, |warning| {
        warnings.push(warning.to_owned());
    });
    let (driver, refused) = match loaded {
        Ok(driver) => (Some(driver), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let found = with_sources(examination, &stop, module)?;
    // The device is closed by now.
    let stayed = driver.and_then(|driver| driver.unload().err());
    warnings.extend(found.warnings);
    Ok(Readiness {
        driver_trouble: refused.or_else(|| stayed.map(|error| error.to_string())),
        warnings,
        ..found
    })
}

/// All that depends on the sources, which are closed at the end.
fn with_sources(
    examination: &Examination,
    stop: &Stop,
    module: ModuleReadiness,
) -> Result<Readiness, ExamineError> {
    let goes_on = || match stop.is_raised() {
        true => Err(ExamineError::Stopped),
        false => Ok(()),
    };
    let sources = tried::all();
    goes_on()?;
    let opened = Source::read(&SourceSpec::Auto, &Reading::default());
    let source = opened.as_ref().ok();
    let map = match source {
        Some(source) => source.map.clone(),
        None => Iomem::read()?.map,
    };
    let selected = examination.selection.apply(&map)?;
    let kinds = kinds(&map, &selected, source.map(|source| &source.record));
    let planned = selected.total();
    let facts = source.map_or_else(MachineFacts::default, |source| source.machine.clone());
    let plan = ImagePlan::new(selected.read, facts)?;
    let measured = examination.measures.then_some(MEASURED);
    let read = source
        .zip(measured)
        .map(|(source, during)| speed::reading(source, &plan, during));
    goes_on()?;
    let machine = source.map_or_else(MachineRecord::default, |source| {
        source.machine_record.clone()
    });
    Ok(Readiness {
        host: this_machine(),
        described: describe(machine.clone()),
        machine,
        sources,
        is_crashed: source.is_some_and(|source| source.subject == Subject::CrashedKernel),
        warnings: source.map_or_else(Vec::new, |source| source.warnings.clone()),
        source: opened
            .as_ref()
            .map(|source| source.record.clone())
            .map_err(ToString::to_string),
        kinds,
        planned,
        module,
        driver_trouble: None,
        read,
        destination: examination.place.examine(&plan, measured),
    })
}

/// The memory of `map` by kind: what `selected` reads of it, and where `record` says that it could
/// be read from.
fn kinds(
    map: &MemoryMap,
    selected: &Selected,
    record: Option<&SourceRecord>,
) -> BTreeMap<RegionKind, Kind> {
    let mut kinds: BTreeMap<RegionKind, Kind> = BTreeMap::new();
    for region in map.regions() {
        let kind = kinds.entry(region.kind).or_default();
        kind.bytes = kind.bytes.saturating_add(region.range.len().get());
        kind.source = record
            .and_then(|record| record.serving(region.kind.name()))
            .map(str::to_owned);
    }
    for planned in &selected.read {
        let kind = kinds.entry(planned.kind).or_default();
        kind.read_bytes = kind.read_bytes.saturating_add(planned.range.len().get());
    }
    kinds
}
