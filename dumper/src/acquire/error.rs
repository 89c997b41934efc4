// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an acquisition did not begin.

use crate::evidence::KeepError;
use crate::freeze::FreezeError;
use crate::naming::NamingError;
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
    /// Options that do not go together.
    #[error(transparent)]
    Naming(#[from] NamingError),
    /// stdout without a place for the manifest.
    #[error("with the image on stdout, --manifest PATH is needed: it holds hashes and addresses")]
    StdoutWithoutManifest,
    /// stdout cannot be read again.
    #[error("--second-pass compares the image with the memory; that needs a file, not stdout")]
    SecondPassOfStdout,
    /// An image does not change.
    #[error("--order volatile-first is for a running machine, not for an image")]
    OrderOfImage,
    /// stdout is where someone looks.
    #[error("stdout is a terminal: send it to a pipe or a file")]
    StdoutIsTerminal,
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
        "nothing of what was asked for can be read: no source has {kinds} here; there is {served} \
         (--include-reserved)"
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
    Evidence(#[from] KeepError),
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
    /// Whether another command line would have avoided it.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Naming(_)
                | Self::StdoutWithoutManifest
                | Self::StdoutIsTerminal
                | Self::SecondPassOfStdout
                | Self::OrderOfImage
        )
    }
}
