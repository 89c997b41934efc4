// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a writer's bytes go.

use crate::Chunk;
use bytes::Bytes;

/// A stream of bytes that only goes forward: a pipe, a socket and a file are
/// the same to a writer.
///
/// Positions count the bytes of the image itself: if the stream is compressed
/// on its way out, they are those before compression.
pub trait ImageOutput {
    /// Bytes of the image that went out so far.
    fn position(&self) -> u64;

    /// Appends `bytes`.
    ///
    /// # Errors
    /// If the sink failed; the image is then lost.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError>;

    /// Appends bytes that are shared, without copying them where that can be.
    ///
    /// # Errors
    /// If the sink failed; the image is then lost.
    fn shared(&mut self, bytes: &Bytes) -> Result<(), OutputError> {
        self.bytes(bytes)
    }

    /// Appends `len` zero bytes, as a hole where the sink can.
    ///
    /// # Errors
    /// If the sink failed.
    fn zeros(&mut self, len: u64) -> Result<(), OutputError>;

    /// Appends the chunk's bytes, whose compressed form, if there is to be one,
    /// was made beforehand in parallel. Writers pass every chunk through here, so
    /// an output that can leave holes makes one when the chunk is zero.
    ///
    /// # Errors
    /// If the sink failed.
    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError>;
}

/// The sink could not take the bytes.
#[derive(Debug, thiserror::Error)]
#[error("writing at offset {position} of the image: {source}")]
pub struct OutputError {
    /// Bytes of the image that had gone out.
    pub position: u64,
    /// The system's reason.
    pub source: std::io::Error,
}
