// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol between the host and the init of a test machine, and what else both need:
//! random numbers, and content for memory.
//!
//! One virtio-serial port carries [`Frame`]s in both directions. The host opens a
//! conversation with a [`Request`] under an id it chooses. Every frame that belongs to
//! the conversation carries that id, and the guest ends it with [`Reply::Done`] or
//! [`Reply::Failed`]. Conversations run in parallel.

#![forbid(unsafe_code)]

pub mod content;
mod frame;
mod message;
mod random;

pub use frame::{Frame, FrameKind, MAX_PAYLOAD, data_payload, split_data};
pub use message::{Ended, Reply, Request};
pub use random::Random;

/// The name of the virtio-serial port.
pub const PORT: &str = "linpmem.agent";

/// The word of the kernel's command line that names the disk to mount at `/scratch`.
/// A word that the kernel does not know reaches init as an environment variable.
pub const SCRATCH_VARIABLE: &str = "scratch_disk";

/// Where the disk's file system is mounted.
pub const SCRATCH: &str = "/scratch";

/// The last line that init writes to the console before it powers off.
pub const LAST_LINE: &str = "linpmem-guest: powering off";
