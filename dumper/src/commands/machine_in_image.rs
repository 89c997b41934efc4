// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image and its artifacts, opened as the machine that it is of.

use super::kernel_symbols;
use crate::args::InspectArgs;
use linpmem_capture::artifacts::{Artifacts, ArtifactsError, VMCOREINFO};
use linpmem_capture::source::{ImageSourceError, read_image};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_formats::ImageReader;
use linpmem_inspect::{Facts, Machine, Symbols};
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
        let path = &args.image;
        let artifacts = Artifacts::read(path, &args.reading.reading())?;
        let reading = args.raw.with(args.reading.reading());
        let image = read_image(path, None, &reading).map_err(|source| InspectError::Image {
            path: path.clone(),
            source,
        })?;
        for warning in image.warnings() {
            stderr.warn(warning);
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
        Ok(Self {
            image: ImageMemory(image),
            btf: artifacts.btf("vmlinux")?,
            vmcoreinfo,
            symbols,
        })
    }

    /// The machine.
    pub(super) fn machine(&self) -> Result<Machine<'_>, InspectError> {
        let facts = Facts {
            vmcoreinfo: &self.vmcoreinfo,
            btf: &self.btf,
            symbols: self.symbols.clone(),
        };
        Ok(Machine::open(&self.image, facts)?)
    }

    /// Whether the image ends early.
    pub(super) fn is_cut_off(&self) -> bool {
        self.image.0.truncation().is_some()
    }
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
