// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host of a test machine and the init inside it say to each other.
//!
//! One virtio-serial port carries [`Frame`]s both ways. The host opens a
//! conversation with a [`Request`] under an id of its own choice; whatever
//! belongs to it carries that id, and the guest's last frame of it is
//! [`Reply::Done`] or [`Reply::Failed`]. Conversations run side by side.

#![forbid(unsafe_code)]

mod frame;
mod message;

pub use frame::{Frame, FrameKind, MAX_PAYLOAD, data_payload, split_data};
pub use message::{Ended, Reply, Request};

/// The name of the virtio-serial port.
pub const PORT: &str = "linpmem.agent";

/// The kernel command line's word that names the disk to mount at `/scratch`.
/// A word the kernel does not know reaches init as an environment variable.
pub const SCRATCH_VARIABLE: &str = "scratch_disk";

/// The folder of the disk's file system.
pub const SCRATCH: &str = "/scratch";

/// The last line that init writes to the console before it powers off.
pub const LAST_LINE: &str = "linpmem-guest: powering off";
