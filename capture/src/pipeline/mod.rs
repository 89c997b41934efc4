// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory in, image and manifest out.
//!
//! ```text
//! source -> read ->[queue]-> work, work, ... -> assemble -> writer -> out -> sink
//!                                                 |                   |
//!                                             range's hash        file's hash
//! ```
//!
//! One thread reads. Workers hash the chunks that wait, several at once, and compress each
//! alone; `crew` says how many workers and buffers there are. The calling thread puts the
//! chunks back in order, writes them and records them. Further threads compute the hashes
//! that need all bytes in order. All share the same few buffers.
//!
//! Nobody waits for those further threads for more than a moment (`patience`) if the sink is a
//! file: what a hash could not take is read back from the disk afterwards (`read_back`).

mod assemble;
mod crew;
mod differing;
mod hash;
mod out;
mod pace;
mod patience;
mod read;
mod read_back;
mod read_back_error;
mod run;
mod unseen;
mod work;

pub use crate::buffer::CHUNK_BYTES;
pub use assemble::AfterMemory;
pub use crew::{default_readers, default_threads};
pub use hash::{Feed, FileHashes, HashEnd, HashSource};
pub use out::{ImageStream, Streamed};
pub use pace::Pace;
pub use read_back::ReadBack;
pub use read_back_error::ReadBackError;
pub use run::{Acquisition, End, Outcome, RunError, run};
pub use unseen::{Unhashed, Unseen};
