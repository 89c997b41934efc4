// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a writer's bytes go.

use crate::Chunk;
use bytes::Bytes;

/// A stream of bytes that only goes forward: a writer cannot tell a file from a
/// pipe or a socket.
///
/// Positions count bytes of the image itself. If the output compresses the stream,
/// they are positions before compression.
pub trait ImageOutput {
    /// Bytes of the image written so far.
    fn position(&self) -> u64;

    /// Appends `bytes`.
    ///
    /// # Errors
    /// If the output failed; the image cannot be completed then.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError>;

    /// Appends shared bytes, without copying them if the output supports that.
    ///
    /// # Errors
    /// If the output failed; the image cannot be completed then.
    fn shared(&mut self, bytes: &Bytes) -> Result<(), OutputError> {
        self.bytes(bytes)
    }

    /// Appends `len` zero bytes, as a hole if the output supports that.
    ///
    /// # Errors
    /// If the output failed.
    fn zeros(&mut self, len: u64) -> Result<(), OutputError>;

    /// Appends the chunk's data. An output that compresses finds the data already
    /// compressed in [`Chunk::frame`]; an output that supports holes can leave one
    /// if the chunk is zero. Formats that store memory as it is pass every chunk
    /// through here.
    ///
    /// # Errors
    /// If the output failed.
    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError>;
}

/// The output did not accept the bytes.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the image at offset {position}: {source}")]
pub struct OutputError {
    /// Bytes of the image written before.
    pub position: u64,
    /// The underlying error.
    pub source: std::io::Error,
}
