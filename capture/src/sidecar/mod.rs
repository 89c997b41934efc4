// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files next to an image.

mod checksum;
mod crash;
mod vouching;

pub use checksum::{check_free, write_checksum};
pub use crash::{CrashOptions, write_vmcoreinfo};
pub use vouching::{check_unvouched, remove_vouching};
