// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory in, image and manifest out.
//!
//! ```text
//! source -> read ->[queue]-> work, work, ... -> order -> writer -> stream -> sink
//!                                                 |                   |
//!                                             range's sum         file's sum
//! ```
//!
//! One thread reads; some work on chunks, each alone; the calling thread puts
//! them back in order, writes them, and records them. Two more make the sums that
//! need all bytes in order. All pass the same few buffers around.

mod buffer;
mod hash;
mod order;
mod pace;
mod read;
mod run;
mod work;
mod zero;

pub use buffer::{Buffer, Pool};
pub use hash::{Feed, FileSums};
pub use pace::Pace;
pub use run::{Acquisition, End, Outcome, RunError, run};
pub use work::Payload;
pub use zero::ZeroBlocks;

/// Bytes of memory that are read, hashed, compressed and listed at a time.
pub const CHUNK_BYTES: usize = 1 << 20;
