// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory in, image and manifest out.
//!
//! ```text
//! source -> read ->[queue]-> work, work, ... -> assemble -> writer -> out -> sink
//!                                                 |                   |
//!                                             range's sum         file's sum
//! ```
//!
//! One thread reads; some work on chunks, each alone; the calling thread puts
//! them back in order, writes them, and records them. Two more make the sums that
//! need all bytes in order. All pass the same few buffers around.

mod assemble;
mod hash;
mod out;
mod pace;
mod read;
mod run;
mod work;

pub use crate::buffer::CHUNK_BYTES;
pub use hash::{Feed, FileSums};
pub use out::{ImageStream, Streamed};
pub use pace::Pace;
pub use run::{Acquisition, End, Outcome, RunError, default_workers, run};
