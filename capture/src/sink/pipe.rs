// SPDX-License-Identifier: MIT OR Apache-2.0
//! Standard output, a named pipe, or any other stream.

use super::Sink;
use crate::stop::{Stop, StopReason};
use linpmem_phys::num::{len_bytes, u64_as_usize};
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How often a pipe without a reader is tried.
const PAUSE: Duration = Duration::from_millis(50);

/// A pipe that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError {
    /// The run was ended before anybody read from it.
    #[error("{reason} while waiting for a program that reads from the pipe {path}")]
    NoReader {
        /// The pipe.
        path: PathBuf,
        /// What ended the run.
        reason: StopReason,
    },
    /// The system's reason.
    #[error("opening the pipe {path}: {source}")]
    Io {
        /// The pipe.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Opens the named pipe at `path` for writing. As a shell does, waits until a program
/// reads from it.
///
/// # Errors
/// If it cannot be opened, or `stop` is raised.
pub fn open_pipe(path: &Path, stop: &Stop) -> Result<File, PipeError> {
    let failed = |errno: Errno| PipeError::Io {
        path: path.to_path_buf(),
        source: errno.into(),
    };
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    loop {
        match open(path, flags, Mode::empty()) {
            Ok(pipe) => {
                fcntl_setfl(&pipe, OFlags::empty()).map_err(failed)?;
                return Ok(pipe.into());
            }
            Err(Errno::NXIO) => {}
            Err(errno) => return Err(failed(errno)),
        }
        if let Some(reason) = stop.reason() {
            return Err(PipeError::NoReader {
                path: path.to_path_buf(),
                reason,
            });
        }
        thread::sleep(PAUSE);
    }
}

/// Zeros that are written at once: as much as a pipe holds.
const ZERO_BYTES: u64 = 64 << 10;

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
        // Made when they are needed: in the program, they would be as large.
        let zeros = vec![0; u64_as_usize(len.min(ZERO_BYTES))];
        let mut left = len;
        while left > 0 {
            let step = left.min(len_bytes(&zeros));
            self.bytes(zeros.get(..u64_as_usize(step)).unwrap_or(&zeros))?;
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
