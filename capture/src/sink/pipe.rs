// SPDX-License-Identifier: MIT OR Apache-2.0
//! Standard output, or any other stream.

use super::Sink;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::io::{self, Write};

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Writes to a stream, zeros included.
#[derive(Debug)]
pub struct PipeSink<W> {
    stream: W,
    position: u64,
}

impl<W: Write> PipeSink<W> {
    /// Writes to `stream`, which should not buffer: the pieces are large.
    #[must_use]
    pub const fn new(stream: W) -> Self {
        Self {
            stream,
            position: 0,
        }
    }
}

impl<W: Write + Send> Sink for PipeSink<W> {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.position += len_bytes(bytes);
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        let mut left = len;
        while left > 0 {
            let step = left.min(len_bytes(&ZEROS));
            self.bytes(ZEROS.get(..u64_as_usize(step)).unwrap_or(&ZEROS))?;
            left -= step;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_written_out() {
        let mut sink = PipeSink::new(Vec::new());
        sink.bytes(b"ab").unwrap();
        sink.zeros((64 << 10) + 3).unwrap();
        sink.bytes(b"c").unwrap();
        assert_eq!(sink.position(), (64 << 10) + 6);
        assert_eq!(sink.stream.len(), (64 << 10) + 6);
        assert_eq!(sink.stream.last(), Some(&b'c'));
    }
}
