// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file that an image is written to from front to back.

use linpmem_formats::{Chunk, ImageOutput, OutputError};
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// A new file.
pub struct FileOutput {
    file: BufWriter<File>,
    position: u64,
}

impl FileOutput {
    /// An image in `file`, which is empty.
    pub fn new(file: File) -> Self {
        Self {
            file: BufWriter::new(file),
            position: 0,
        }
    }

    /// Puts all of it on the disk.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner();
        file.map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl ImageOutput for FileOutput {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let position = self.position;
        self.file
            .write_all(bytes)
            .map_err(|source| OutputError { position, source })?;
        self.position += len_bytes(bytes);
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let step = len_bytes(&ZEROS);
        for _ in 0..len / step {
            self.bytes(&ZEROS)?;
        }
        let (rest, _) = ZEROS.split_at(u64_as_usize(len % step));
        self.bytes(rest)
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}
