// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where memory comes from: a file for each source, which makes a [`Source`].

mod access_diagnosis;
mod aff4;
mod crash;
mod devmem;
mod image;
mod image_with_manifest;
mod interrupted;
mod iomem;
mod kcore;
mod kernel;
mod kernel_variables;
mod machine;
mod memory_blocks;
mod missing_ranges;
mod module;
mod page_flags;
mod planned;
mod range_list;
mod raw_image;
mod regions;
mod self_test;
mod spec;
mod split;
mod vmcore;
mod vmcoreinfo;
mod volatile;
mod watched_image;

pub use aff4::{open_aff4, read_aff4};
pub(crate) use image::read_known;
pub use image::{
    DescribedImage, ImageSourceError, complete_image, describe_image, open_reader_at, read_image,
};
pub use iomem::{Iomem, IomemError, IomemTextError};
pub use range_list::RangeListError;
pub use raw_image::StatedError;
pub use spec::SourceSpec;
pub use vmcoreinfo::{VmcoreinfoError, record as vmcoreinfo_record};
pub use volatile::Volatile;

use crate::Reading;
use kernel::KernelSource;
use linpmem_formats::{MachineFacts, Truncation};
use linpmem_manifest::{MachineRecord, SourceRecord, UnusedRecord};
use linpmem_phys::{MemoryMap, ReadPhys};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vmcore::CrashKernel;

/// Memory that can be read, and what is known of it.
pub struct Source {
    /// Reads the memory.
    pub reader: Arc<dyn ReadPhys>,
    /// The memory map.
    pub map: MemoryMap,
    /// The text that the map was made from, if it is the running kernel's.
    pub iomem: Option<String>,
    /// Whose memory it is.
    pub subject: Subject,
    /// What an image records about the machine.
    pub machine: MachineFacts,
    /// What the manifest records about the machine.
    pub machine_record: MachineRecord,
    /// What the manifest records about the source.
    pub record: SourceRecord,
    /// How an image ends early, if it does; one of the warnings says the same in words.
    pub truncation: Option<Truncation>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Whose memory a source reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The kernel that this program runs on: its memory changes while it is read.
    RunningKernel,
    /// The kernel that crashed before this one was started.
    CrashedKernel,
    /// Whatever the image holds.
    Image,
}

/// A source that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The module's device cannot be opened.
    #[error(transparent)]
    Open(#[from] linpmem::OpenError),
    /// The module's version and limits could not be read.
    #[error("{path}: {source}", path = .path.display())]
    Info {
        /// The device node.
        path: PathBuf,
        /// The reason.
        source: linpmem::InfoError,
    },
    /// /proc/iomem gives no memory map.
    #[error(transparent)]
    Iomem(#[from] IomemError),
    /// The device failed the test with known pages.
    #[error("{path}: {reason}", path = .path.display())]
    SelfTest {
        /// The device node.
        path: PathBuf,
        /// How it failed the test.
        reason: String,
    },
    /// The memory of the kernel that crashed cannot be read.
    #[error("{path}: {reason}", path = .path.display())]
    Vmcore {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It cannot be read either where it is the only memory of interest.
    #[error(
        "this is a crash (kdump) kernel, and the memory of the kernel that crashed cannot be \
         read: {0}\nThe other sources have the memory of this small kernel only; name one \
         (--source kcore) if that is what you want."
    )]
    OnlyCrashed(Box<SourceError>),
    /// The image cannot be opened.
    #[error("{path}: {source}", path = .path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// The reason.
        source: ImageSourceError,
    },
    /// No source works.
    #[error("no source of this machine's memory works:{}\n{advice}", listed(.tried))]
    NoneWorks {
        /// What was tried, and why it does not work.
        tried: Vec<UnusedRecord>,
        /// What to do.
        advice: String,
    },
}

fn listed(tried: &[UnusedRecord]) -> String {
    let line = |tried: &UnusedRecord| format!("\n{:8} {}", tried.kind, tried.reason);
    tried.iter().map(line).collect()
}

impl Source {
    /// Opens what `spec` names.
    ///
    /// # Errors
    /// If it does not exist or cannot be read; the error says what to do.
    pub fn open(spec: &SourceSpec) -> Result<Self, SourceError> {
        Self::read(spec, &Reading::default())
    }

    /// As [`open`](Self::open); an image is read as `reading` says.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(spec: &SourceSpec, reading: &Reading) -> Result<Self, SourceError> {
        let crash_kernel = CrashKernel::find(Path::new("/proc"));
        let mut source = match spec {
            SourceSpec::Auto if crash_kernel == CrashKernel::WithVmcore => {
                vmcore::open(Path::new(vmcore::PATH))
                    .map_err(|error| SourceError::OnlyCrashed(Box::new(error)))
            }
            SourceSpec::Auto => best(),
            SourceSpec::Device(path) => module::open(path, true),
            SourceSpec::Kcore => kernel::open(Some(KernelSource::Kcore), Vec::new()),
            SourceSpec::Crash => kernel::open(Some(KernelSource::Crash), Vec::new()),
            SourceSpec::DevMem => kernel::open(Some(KernelSource::DevMem), Vec::new()),
            SourceSpec::Vmcore => vmcore::open(Path::new(vmcore::PATH)),
            SourceSpec::Image(path) => image::open(path, reading),
        }?;
        if source.subject == Subject::RunningKernel {
            source.warnings.extend(crash_kernel.warning());
        }
        Ok(source)
    }
}

/// The module if it works, else the best of the kernel's own files.
fn best() -> Result<Source, SourceError> {
    match module::open(Path::new(linpmem::DEFAULT_PATH), false) {
        Ok(source) => Ok(source),
        // The other sources need it as well.
        Err(error @ SourceError::Iomem(_)) => Err(error),
        Err(error) => kernel::open(
            None,
            vec![UnusedRecord {
                kind: "linpmem".to_owned(),
                reason: error.to_string(),
            }],
        ),
    }
}
