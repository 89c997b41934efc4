// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the tests' images go.

use linpmem_formats::{Chunk, ImageOutput, OutputError, frames};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

/// Into memory.
#[derive(Default)]
pub struct VecOutput(pub Vec<u8>);

impl ImageOutput for VecOutput {
    fn position(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap()
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        let len = self.0.len() + usize::try_from(len).unwrap();
        self.0.resize(len, 0);
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}

/// Into a file, with holes where there is nothing but zeros.
pub struct SparseOutput {
    file: File,
    position: u64,
}

impl SparseOutput {
    pub fn new(file: File) -> Self {
        Self { file, position: 0 }
    }

    /// The file, at its full length.
    pub fn into_file(self) -> File {
        self.file.set_len(self.position).unwrap();
        self.file
    }
}

impl ImageOutput for SparseOutput {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.file.seek(SeekFrom::Start(self.position)).unwrap();
        self.file.write_all(bytes).unwrap();
        self.position += u64::try_from(bytes.len()).unwrap();
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        self.position += len;
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        if chunk.is_zero() {
            self.zeros(u64::try_from(chunk.data.len()).unwrap())
        } else {
            self.bytes(&chunk.data)
        }
    }
}

/// Nowhere: only the length is kept.
#[derive(Default)]
pub struct CountingOutput(pub u64);

impl ImageOutput for CountingOutput {
    fn position(&self) -> u64 {
        self.0
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.zeros(u64::try_from(bytes.len()).unwrap())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        self.0 = self.0.checked_add(len).unwrap();
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}

/// Into memory, in zstd frames.
#[derive(Default)]
pub struct ZstdOutput {
    file: Vec<u8>,
    frames: Vec<frames::ZstdFrame>,
    position: u64,
}

impl ZstdOutput {
    pub fn into_file(mut self, with_table: bool) -> Vec<u8> {
        if with_table {
            self.file
                .extend_from_slice(&frames::seek_table(&self.frames));
        }
        self.file
    }

    fn frame(&mut self, frame: &[u8], content_bytes: usize) {
        self.frames.push(frames::ZstdFrame {
            compressed_bytes: u32::try_from(frame.len()).unwrap(),
            content_bytes: u32::try_from(content_bytes).unwrap(),
        });
        self.file.extend_from_slice(frame);
        self.position += u64::try_from(content_bytes).unwrap();
    }
}

impl ImageOutput for ZstdOutput {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.frame(&zstd::bulk::compress(bytes, 1).unwrap(), bytes.len());
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        self.bytes(&vec![0; usize::try_from(len).unwrap()])
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.frame(chunk.frame.as_ref().unwrap(), chunk.data.len());
        Ok(())
    }
}
