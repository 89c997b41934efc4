// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that may hang.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::Builder;
use std::time::Duration;

/// Bytes that are read at a time. The kernel makes many files of /proc a page at
/// a time whatever is asked for.
const STEP_BYTES: usize = 64 << 10;
/// Steps that may wait for being taken.
const STEPS_AHEAD: usize = 2;
/// The thread calls next to nothing.
const STACK_BYTES: usize = 128 << 10;

/// A regular file, read by a thread of its own: where the kernel or a file system
/// does not answer, the reader gives up, and the thread stays behind.
#[derive(Debug)]
pub(super) struct PatientFile {
    steps: Receiver<io::Result<Vec<u8>>>,
    current: io::Cursor<Vec<u8>>,
    /// None waits for ever.
    timeout: Option<Duration>,
}

impl PatientFile {
    /// The file at `path`. That it cannot be opened shows when it is read.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn open(path: &Path, timeout: Option<Duration>) -> io::Result<Self> {
        let (sender, steps) = bounded(STEPS_AHEAD);
        let path = path.to_path_buf();
        Builder::new()
            .name("evidence".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || send(&path, &sender))?;
        Ok(Self {
            steps,
            current: io::Cursor::default(),
            timeout,
        })
    }

    /// All of it, if that is no more than `limit` bytes.
    ///
    /// # Errors
    /// The system's; `FileTooLarge` if it has more.
    pub(super) fn all(path: &Path, limit: u64, timeout: Option<Duration>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Self::open(path, timeout)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {limit} bytes"),
            ));
        }
        Ok(bytes)
    }
}

impl Read for PatientFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = self.current.read(buf)?;
            if len > 0 || buf.is_empty() {
                return Ok(len);
            }
            let step = match self.timeout {
                Some(timeout) => self.steps.recv_timeout(timeout),
                None => self.steps.recv().map_err(RecvTimeoutError::from),
            };
            match step {
                Ok(step) => self.current = io::Cursor::new(step?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the system does not answer",
                    ));
                }
            }
        }
    }
}

fn send(path: &Path, steps: &Sender<io::Result<Vec<u8>>>) {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(error) => {
            let _ = steps.send(Err(error));
            return;
        }
    };
    loop {
        let mut step = vec![0; STEP_BYTES];
        let read = match file.read(&mut step) {
            Ok(0) => return,
            Ok(len) => {
                step.truncate(len);
                Ok(step)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if steps.send(read).is_err() || is_last {
            return;
        }
    }
}

/// Pipes and devices might never end, or do something when they are read.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_to_their_end_and_no_further_than_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let content: Vec<u8> = (0..300_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        std::fs::write(&path, &content).unwrap();
        let timeout = Some(Duration::from_secs(10));
        assert_eq!(PatientFile::all(&path, 300_000, timeout).unwrap(), content);
        let error = PatientFile::all(&path, 299_999, timeout).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            assert!(PatientFile::all(path, 10, None).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_file_that_hangs_is_given_up() {
        let (_kept, steps) = bounded(1);
        let mut file = PatientFile {
            steps,
            current: io::Cursor::default(),
            timeout: Some(Duration::from_millis(10)),
        };
        let error = file.read(&mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
