// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an acquisition of this machine would be like, before there is one: which sources work,
//! what they reach, whether the module can be loaded, what the kernel tells of itself, and how
//! fast memory is read and can be kept. No memory is written anywhere.

mod destination;
mod module;
mod speed;
mod tried;

pub use destination::{Destination, Folder, Place};
pub use module::ModuleReadiness;
pub use speed::{MeasuredRead, Rate};
pub use tried::Tried;

use crate::Reading;
use crate::artifacts::{Described, describe};
use crate::driver::{DriverSpec, LoadedDriver};
use crate::host::this_machine;
use crate::selection::{NothingSelected, Selection};
use crate::source::{Iomem, IomemError, Source, SourceSpec, Subject};
use crate::stop::Stop;
use linpmem_formats::{ImagePlan, PlanError};
use linpmem_manifest::{Host, MachineRecord, SourceRecord};
use linpmem_phys::{MemoryMap, PhysLen};
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
    /// Whether this process is root's.
    pub is_root: bool,
    /// Every source that a running machine can have.
    pub sources: Vec<Tried>,
    /// What would be used, or why nothing can be.
    pub source: Result<SourceRecord, String>,
    /// Whether the memory is that of a kernel that crashed.
    pub is_crashed: bool,
    /// What the source has to say.
    pub warnings: Vec<String>,
    /// The memory by kind.
    pub kinds: BTreeMap<&'static str, Kind>,
    /// Memory that would be read.
    pub planned: PhysLen,
    /// The module.
    pub module: ModuleReadiness,
    /// Why the module that should be loaded was not.
    pub not_loaded: Option<String>,
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
    let goes_on = || match stop.is_raised() {
        true => Err(ExamineError::Stopped),
        false => Ok(()),
    };
    let module = ModuleReadiness::of_this_machine();
    let (driver, not_loaded) = match LoadedDriver::load(&examination.driver, |_| {}) {
        Ok(driver) => (Some(driver), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let sources = tried::all();
    goes_on()?;
    let opened = Source::read(&SourceSpec::Auto, &Reading::default());
    let map = match &opened {
        Ok(source) => source.map.clone(),
        Err(_) => Iomem::read()?.map,
    };
    let record = opened.as_ref().ok().map(|source| &source.record);
    let selected = examination.selection.apply(&map)?;
    let planned = selected.total();
    let kinds = kinds(&map, &selected.parts(), record);
    let machine = opened
        .as_ref()
        .map(|source| source.machine_record.clone())
        .unwrap_or_default();
    let facts = opened
        .as_ref()
        .map(|source| source.machine.clone())
        .unwrap_or_default();
    let plan = ImagePlan::new(selected.read, facts)?;
    let read = match &opened {
        Ok(source) if examination.measures => Some(speed::reading(source, &plan, MEASURED)),
        _ => None,
    };
    goes_on()?;
    let measured = examination.measures.then_some(MEASURED);
    let destination = examination.place.examine(&plan, measured);
    let is_crashed = opened
        .as_ref()
        .is_ok_and(|source| source.subject == Subject::CrashedKernel);
    let warnings = opened
        .as_ref()
        .map(|source| source.warnings.clone())
        .unwrap_or_default();
    let readiness = Readiness {
        host: this_machine(),
        described: describe(machine.clone()),
        machine,
        is_root: rustix::process::geteuid().is_root(),
        sources,
        source: opened
            .as_ref()
            .map(|source| source.record.clone())
            .map_err(ToString::to_string),
        is_crashed,
        warnings,
        kinds,
        planned,
        module,
        not_loaded,
        read,
        destination,
    };
    // Its device must be closed before the module can go.
    drop(opened);
    let unloaded = driver.map_or(Ok(()), LoadedDriver::unload);
    Ok(Readiness {
        not_loaded: readiness
            .not_loaded
            .or_else(|| unloaded.err().map(|error| error.to_string())),
        ..readiness
    })
}

/// The memory of `map` by kind; `parts` say what is read of it, and `record` from where it could
/// be.
fn kinds(
    map: &MemoryMap,
    parts: &[crate::selection::Part],
    record: Option<&SourceRecord>,
) -> BTreeMap<&'static str, Kind> {
    let mut kinds: BTreeMap<&'static str, Kind> = BTreeMap::new();
    for region in map.regions() {
        let name = region.kind.name();
        let kind = kinds.entry(name).or_default();
        kind.bytes = kind.bytes.saturating_add(region.range.len().get());
        kind.source = record
            .and_then(|record| record.serving(name))
            .map(str::to_owned);
    }
    for part in parts.iter().filter(|part| part.is_read) {
        let kind = kinds.entry(part.kind.name()).or_default();
        kind.read_bytes = kind.read_bytes.saturating_add(part.range.len().get());
    }
    kinds
}
