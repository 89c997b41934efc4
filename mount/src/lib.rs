// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::as_conversions))]

mod artifact_files;
mod core_file;
mod device;
mod error;
mod fixed;
mod kept;
mod kernel;
mod live;
mod memory_file;
mod names;
mod node;
mod part;
mod ranges;
mod serve;
mod session;

pub use artifact_files::{ArtifactFile, ReadArtifact};
pub use error::MountError;
pub use fixed::{Contents, Fixed, Text};
pub use kernel::Wording;
pub use live::{Live, OpenMachine};
pub use session::Mounted;
