// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only AFF4 images have: options of their own, files beside the memory,
//! hashes in the image itself, and the recovery of unfinished ones.

mod bundle;
mod list;
mod options;
mod recover;
mod verify;

pub use bundle::{BundleError, bundle};
pub use list::list;
pub use options::{lacks_linear_hash, options};
pub use recover::{RecoverCommandError, recover};
pub use verify::{opened, verify};
