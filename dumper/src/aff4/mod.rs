// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only AFF4 images have: options of their own, hashes in the image itself, and the recovery of unfinished ones.

mod options;
mod recover;
mod verify;

pub use options::{lacks_linear_hash, options};
pub use recover::{RecoverCommandError, recover};
pub use verify::{opened, verify};
