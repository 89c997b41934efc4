// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image and its artifacts, opened as the machine that it is of.

use super::kept_swap::KeptSwap;
use super::kernel_symbols;
use crate::args::InspectArgs;
use linpmem_capture::Reading;
use linpmem_capture::artifacts::{self, Artifacts, ArtifactsError, Processes, VMCOREINFO};
use linpmem_capture::source::{ImageSourceError, read_image};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_formats::{ImageReader, StoredRange};
use linpmem_inspect::{AllTasks, Facts, FoundTask, Machine, Symbols};
use linpmem_kinfo::vmcoreinfo::{MAX_BYTES, Vmcoreinfo};
use linpmem_phys::{PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image that cannot be shown as a machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum InspectError {
    /// The image does not open.
    #[error("{path}: {source}")]
    Image {
        path: PathBuf,
        source: ImageSourceError,
    },
    /// It has no artifacts.
    #[error(
        "{0} has no artifacts, neither inside it nor in a file next to it: what is in memory is \
         found by what the kernel says about itself (VMCOREINFO, BTF, kallsyms)"
    )]
    NoArtifacts(PathBuf),
    /// What is needed is missing.
    #[error("{0}. What is in memory is found by VMCOREINFO, the kernel's BTF and its symbols")]
    Artifacts(#[from] ArtifactsError),
    /// Neither the image nor its artifacts have VMCOREINFO.
    #[error("{0} has no VMCOREINFO, neither as a note nor among its artifacts")]
    NoVmcoreinfo(PathBuf),
    /// The kernel is not found.
    #[error(transparent)]
    Kernel(#[from] linpmem_inspect::Error),
    /// There is no such process.
    #[error("{image} has no process {pid}; `linpmem-dump ps` lists them")]
    NoProcess { image: PathBuf, pid: i32 },
}

/// An image, and what was read of its artifacts.
pub(super) struct Opened {
    image: ImageMemory,
    vmcoreinfo: Vec<u8>,
    btf: Vec<u8>,
    symbols: Symbols,
    known: Option<artifacts::Machine>,
    swap: KeptSwap,
    listed: Option<Processes>,
}

/// An image as memory: Rust 1.85 cannot make the one of the other.
struct ImageMemory(Arc<dyn ImageReader>);

impl ReadPhys for ImageMemory {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.0.read_phys(start, buf, unreadable)
    }

    fn is_known_zero(&self, range: PhysRange) -> bool {
        self.0.is_known_zero(range)
    }
}

impl Opened {
    /// Opens the image of `args`. What is odd about it is said on `stderr`.
    pub(super) fn open(args: &InspectArgs, stderr: Stderr) -> Result<Self, InspectError> {
        let reading = args.raw.with(args.reading.reading());
        Self::of(&args.image, &reading, &mut |warning| stderr.warn(warning))
    }

    /// Opens the image at `path`. What is odd about it is passed on to `warn`.
    pub(super) fn of(
        path: &Path,
        reading: &Reading,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Self, InspectError> {
        let artifacts = Artifacts::read(path, reading)?;
        let image = read_image(path, None, reading).map_err(|source| InspectError::Image {
            path: path.to_path_buf(),
            source,
        })?;
        for warning in image.warnings() {
            warn(warning);
        }
        Self::new(path, Arc::from(image), artifacts.as_ref())
    }

    /// `image`, which is at `path`, with what its `artifacts` say.
    pub(super) fn new(
        path: &Path,
        image: Arc<dyn ImageReader>,
        artifacts: Option<&Artifacts>,
    ) -> Result<Self, InspectError> {
        let artifacts = artifacts.ok_or_else(|| InspectError::NoArtifacts(path.to_owned()))?;
        let vmcoreinfo = match image.machine().vmcoreinfo.clone() {
            Some(text) => text,
            None => match artifacts.bytes(VMCOREINFO, MAX_BYTES) {
                Err(ArtifactsError::Missing { .. }) => {
                    return Err(InspectError::NoVmcoreinfo(path.to_owned()));
                }
                found => found?,
            },
        };
        let symbols = kernel_symbols::of(artifacts, Vmcoreinfo::new(&vmcoreinfo))?;
        // Images of earlier versions lack it.
        let known = artifacts.machine().ok();
        Ok(Self {
            swap: KeptSwap::of(artifacts, known.as_ref()),
            image: ImageMemory(image),
            btf: artifacts.btf("vmlinux")?,
            vmcoreinfo,
            symbols,
            known,
            // The same is true of this one.
            listed: artifacts.processes().ok(),
        })
    }

    /// The machine.
    pub(super) fn machine(&self) -> Result<Machine<'_>, InspectError> {
        let facts = Facts {
            vmcoreinfo: &self.vmcoreinfo,
            btf: &self.btf,
            symbols: self.symbols.clone(),
        };
        let machine = Machine::open(&self.image, facts)?;
        Ok(machine.with_swap(&self.swap.areas, &self.swap))
    }

    /// What the machine said about itself.
    pub(super) const fn known(&self) -> &Option<artifacts::Machine> {
        &self.known
    }

    /// The processes that /proc listed.
    pub(super) const fn listed(&self) -> &Option<Processes> {
        &self.listed
    }

    /// The ranges of memory that the image describes.
    pub(super) fn ranges(&self) -> &[StoredRange] {
        self.image.0.ranges()
    }

    /// Whether the image ends early.
    pub(super) fn is_cut_off(&self) -> bool {
        self.image.0.truncation().is_some()
    }
}

/// Checks that `all` has tasks with these numbers, of which `is_wanted` is true.
///
/// # Errors
/// If there is none with one of them in `image`.
pub(super) fn require(
    all: &AllTasks,
    pids: &[i32],
    image: &Path,
    is_wanted: fn(&FoundTask) -> bool,
) -> Result<(), InspectError> {
    for &pid in pids {
        let mut tasks = all.tasks.iter();
        if !tasks.any(|found| is_wanted(found) && found.has_number(pid)) {
            let image = image.to_path_buf();
            return Err(InspectError::NoProcess { image, pid });
        }
    }
    Ok(())
}

/// What the exit code says where memory contradicts itself.
pub(super) fn exit_status(is_cut_off: bool, is_sound: bool) -> ExitStatus {
    match is_cut_off || !is_sound {
        true => ExitStatus::Unreadable,
        false => ExitStatus::Complete,
    }
}

/// What was wrong on the way, in words.
pub(super) fn in_words(troubles: &[linpmem_inspect::Trouble]) -> Vec<String> {
    troubles.iter().map(ToString::to_string).collect()
}
