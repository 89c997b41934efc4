// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an acquisition failed before or after the pipeline ran.

use crate::artifacts::{PlacementError, SwapError};
use crate::away::AwayError;
use crate::driver::DriverError;
use crate::freeze::FreezeError;
use crate::remote::RemoteError;
use crate::selection::NothingSelected;
use crate::sink::{PartialError, PipeError, SpaceError};
use crate::source::SourceError;
use crate::stored::StoringError;
use linpmem_formats::{PlanError, WriteError};
use std::io;

/// An acquisition that did not begin, or whose files could not get their final names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The selection is empty.
    #[error(transparent)]
    Nothing(#[from] NothingSelected),
    /// The source cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source failed before the image was created.
    #[error(transparent)]
    Read(#[from] linpmem_phys::SourceError),
    /// No source can read any of the selected memory.
    #[error(
        "no source can read {kinds}; available: {served} (--include-reserved reads reserved \
         memory)"
    )]
    Unserved {
        /// The kinds of memory that were selected.
        kinds: String,
        /// What the sources can read.
        served: String,
    },
    /// The module could not be loaded.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The ranges cannot be in one image.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The format does not support the image.
    #[error(transparent)]
    Format(#[from] WriteError),
    /// Other programs cannot be suspended.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    /// The disk is too small.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The swap areas cannot be kept.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// The artifacts could not be collected.
    #[error(transparent)]
    Artifacts(#[from] PlacementError),
    /// The pipe for the image cannot be written to.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// The image cannot begin to go to another machine or a store.
    #[error(transparent)]
    Away(#[from] AwayError),
    /// The receiver on the other machine does not confirm the image.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The store does not take the image.
    #[error(transparent)]
    Store(#[from] StoringError),
    /// A file cannot be created or renamed.
    #[error(transparent)]
    File(#[from] PartialError),
    /// Any other error of the system.
    #[error("{action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl AcquireError {
    /// The error for `action`.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
