// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where memory comes from. Each source is a file of its own that makes a
//! [`Source`].

mod access_diagnosis;
mod aff4;
mod crash;
mod devmem;
mod image;
mod image_with_manifest;
mod iomem;
mod kcore;
mod kernel;
mod machine;
mod module;
mod page_flags;
mod regions;
mod self_test;
mod spec;
mod split;
mod vmcoreinfo;
mod volatile;

pub use aff4::open_aff4;
pub use image::{ImageSourceError, open_reader_at};
pub use iomem::{Iomem, IomemError};
pub use spec::SourceSpec;
pub use vmcoreinfo::{VmcoreinfoError, record as vmcoreinfo_record};
pub use volatile::Volatile;

use kernel::Wanted;
use linpmem_formats::MachineFacts;
use linpmem_manifest::{MachineRecord, SourceRecord, UnusedRecord};
use linpmem_phys::{MemoryMap, ReadPhys};
use std::path::Path;
use std::sync::Arc;

/// Memory that can be read, and what is known of it.
pub struct Source {
    /// Reads it.
    pub reader: Arc<dyn ReadPhys>,
    /// What lies where.
    pub map: MemoryMap,
    /// The text that the map was made from, if it is the running kernel's.
    pub iomem: Option<String>,
    /// What an image should tell of the machine.
    pub machine: MachineFacts,
    /// The same and more, for the manifest.
    pub machine_record: MachineRecord,
    /// The source itself, for the manifest.
    pub record: SourceRecord,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A source that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The module's device does not open.
    #[error(transparent)]
    Open(#[from] linpmem::OpenError),
    /// The module does not say what it is.
    #[error("{path}: {source}")]
    Info {
        /// The device node.
        path: String,
        /// Why.
        source: linpmem::InfoError,
    },
    /// There is no memory map.
    #[error(transparent)]
    Iomem(#[from] IomemError),
    /// The device gives something else than memory, or nothing.
    #[error("{path}: {reason}")]
    Unproven {
        /// The device node.
        path: String,
        /// What was found.
        reason: String,
    },
    /// The image does not open.
    #[error("{path}: {source}")]
    Image {
        /// The image.
        path: String,
        /// Why.
        source: ImageSourceError,
    },
    /// Nothing works.
    #[error("no source of this machine's memory works:{}\n{way_out}", listed(.tried))]
    Nothing {
        /// What was tried, and why it does not work.
        tried: Vec<UnusedRecord>,
        /// What helps.
        way_out: String,
    },
}

fn listed(tried: &[UnusedRecord]) -> String {
    let line = |tried: &UnusedRecord| format!("\n  {:8} {}", tried.kind, tried.reason);
    tried.iter().map(line).collect()
}

impl Source {
    /// Opens what `spec` names.
    ///
    /// # Errors
    /// If it is not there or cannot be read; each says what to do.
    pub fn open(spec: &SourceSpec) -> Result<Self, SourceError> {
        match spec {
            SourceSpec::Auto => best(),
            SourceSpec::Device(path) => module::open(path),
            SourceSpec::Kcore => kernel::open(Wanted::Kcore, Vec::new()),
            SourceSpec::Crash => kernel::open(Wanted::Crash, Vec::new()),
            SourceSpec::DevMem => kernel::open(Wanted::DevMem, Vec::new()),
            SourceSpec::Image(path) => image::open(path),
        }
    }
}

/// The module if it works, else what the kernel offers.
fn best() -> Result<Source, SourceError> {
    match module::open(Path::new(linpmem::DEFAULT_PATH)) {
        Ok(source) => Ok(source),
        // The others need it as well.
        Err(error @ SourceError::Iomem(_)) => Err(error),
        Err(error) => kernel::open(
            Wanted::Any,
            vec![UnusedRecord {
                kind: "linpmem".to_owned(),
                reason: error.to_string(),
            }],
        ),
    }
}
