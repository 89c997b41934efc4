// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an image's bytes end up.

mod behind;
mod direct;
mod encrypted;
mod exposure;
mod file;
mod hole;
mod limit;
mod object;
mod partial;
mod pipe;
mod remote;
mod space;
mod written;

pub use encrypted::EncryptedSink;
pub use exposure::{exposed_folder, exposure};
pub use file::FileSink;
pub use hole::hole;
pub use limit::{LimitedSink, Limits};
pub use object::ObjectSink;
pub use partial::{PartialError, PartialFile, folder_of};
pub use pipe::{PipeError, PipeSink, open_pipe};
pub use remote::RemoteSink;
pub(crate) use space::free_space;
pub use space::{SpaceError, check as check_space, check_length};
pub use written::WrittenFile;

use bytes::Bytes;
use std::fs::File;
use std::io;

/// Takes the bytes of a file from front to back.
///
/// It cannot be used after an error: how much of the failed call arrived is unknown.
pub trait Sink: Send {
    /// Bytes that it took so far.
    fn position(&self) -> u64;

    /// Bytes that there will be where they are kept, if `more` bytes are all that follows.
    fn stored_bytes(&self, more: u64) -> u64 {
        self.position().saturating_add(more)
    }

    /// Memory that it may take besides the buffers that it is given, for copies and for what it makes
    /// of them; of a file, little.
    fn kept_bytes(&self) -> usize {
        0
    }

    /// How many bytes it may hold in the buffers that it is given, before it lets go of them.
    fn held_bytes(&self) -> usize {
        0
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// The system's.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Appends shared bytes, without copying them if possible.
    ///
    /// # Errors
    /// The system's.
    fn shared(&mut self, bytes: &Bytes) -> io::Result<()> {
        self.bytes(bytes)
    }

    /// Appends `len` zero bytes, as a hole if possible.
    ///
    /// # Errors
    /// The system's.
    fn zeros(&mut self, len: u64) -> io::Result<()>;

    /// Syncs all bytes to where they are kept.
    ///
    /// # Errors
    /// The system's, and those of earlier writes that only show now.
    fn finish(&mut self) -> io::Result<()>;

    /// Whether any number of zero bytes takes neither time nor space.
    fn has_free_holes(&self) -> bool {
        false
    }

    /// The file, if what was written can be read back from it after
    /// [`finish`](Self::finish).
    fn file(&self) -> Option<&File> {
        None
    }

    /// After an error: removes, if possible, what arrived of the call that failed, so that
    /// the file ends at [`Self::position`].
    fn abandon(&mut self) {}
}
