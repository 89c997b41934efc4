// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with artifacts.

use linpmem_formats::{OpenError, aff4};
use linpmem_phys::PhysLen;
use std::io;
use std::path::PathBuf;

/// Artifacts that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactsError {
    /// There is no such file among it.
    #[error("{name} is not among the artifacts: {reason}")]
    Missing {
        /// Which.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{name}: {source}")]
    Read {
        /// Which.
        name: String,
        /// The system's reason, or what is wrong with it.
        source: io::Error,
    },
    /// A file is larger than it is read into memory.
    #[error("{name} has more than {limit}")]
    TooLarge {
        /// Which.
        name: String,
        /// What it may have.
        limit: PhysLen,
    },
    /// The facts cannot be understood.
    #[error("{name}: {source}")]
    Json {
        /// Which file.
        name: String,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// The file with the artifacts, or the image, does not open.
    #[error("{path}: {source}")]
    Open {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The image does not open.
    #[error("{path}: {source}")]
    Image {
        /// Which.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The AFF4 volume does not open, or one of its members.
    #[error("{path}: {source}")]
    Aff4 {
        /// The volume or the member.
        path: PathBuf,
        /// Why.
        source: aff4::Error,
    },
}
