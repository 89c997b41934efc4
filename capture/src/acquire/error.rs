// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an acquisition did not begin.

use crate::artifacts::PlacementError;
use crate::freeze::FreezeError;
use crate::selection::NothingSelected;
use crate::sink::{PartialError, SpaceError};
use crate::source::SourceError;
use linpmem::LoadError;
use linpmem_formats::{PlanError, WriteError};
use std::io;

/// An acquisition that did not begin, or whose files could not be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Nothing was selected.
    #[error(transparent)]
    Nothing(#[from] NothingSelected),
    /// No source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source failed before the image was begun.
    #[error(transparent)]
    Read(#[from] linpmem_phys::SourceError),
    /// No source has any of it.
    #[error(
        "no source here can read {kinds}; available: {served} (--include-reserved reads reserved \
         memory)"
    )]
    Unserved {
        /// The kinds of memory that were asked for.
        kinds: String,
        /// What the sources have.
        served: String,
    },
    /// The module could not be loaded.
    #[error(transparent)]
    Driver(#[from] LoadError),
    /// The ranges make no image.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The format cannot hold them.
    #[error(transparent)]
    Format(#[from] WriteError),
    /// Other programs cannot be stopped.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    /// No room.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// What was to lie beside the memory.
    #[error(transparent)]
    Artifacts(#[from] PlacementError),
    /// A file cannot be created or named.
    #[error(transparent)]
    File(#[from] PartialError),
    /// Something else of the system.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl AcquireError {
    /// Wraps the system's reason why `action` failed.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
