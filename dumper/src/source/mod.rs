// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where memory comes from. Each source is a file of its own that makes a
//! [`Source`].

mod image;
mod iomem;
mod module;
mod regions;
mod remembered;
mod vmcoreinfo;

pub use image::{ImageSourceError, open_reader_at};
pub use iomem::{Iomem, IomemError};
pub use vmcoreinfo::{VmcoreinfoError, record as vmcoreinfo_record};

use crate::manifest::{MachineRecord, SourceRecord};
use crate::notation::SourceSpec;
use linpmem_formats::MachineFacts;
use linpmem_phys::{MemoryMap, ReadPhys};
use std::path::Path;

/// Memory that can be read, and what is known of it.
pub struct Source {
    /// Reads it.
    pub reader: Box<dyn ReadPhys>,
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
    /// The image does not open.
    #[error("{path}: {source}")]
    Image {
        /// The image.
        path: String,
        /// Why.
        source: ImageSourceError,
    },
}

impl Source {
    /// Opens what `spec` names.
    ///
    /// # Errors
    /// If it is not there or cannot be read; each says what to do.
    pub fn open(spec: &SourceSpec) -> Result<Self, SourceError> {
        match spec {
            SourceSpec::Auto => module::open(Path::new(linpmem::DEFAULT_PATH)),
            SourceSpec::Device(path) => module::open(path),
            SourceSpec::Image(path) => image::open(path),
        }
    }
}
