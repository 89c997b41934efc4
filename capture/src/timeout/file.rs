// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that may hang, and questions about them.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use linpmem_phys::num::len_bytes;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::Builder;
use std::time::Duration;

/// Bytes that are read at a time. The kernel returns many files in /proc page by page,
/// however much is asked for.
const STEP_BYTES: usize = 64 << 10;
/// Pieces that may wait until they are taken.
const STEPS_AHEAD: usize = 2;
/// A small stack is enough: the thread calls next to nothing.
const STACK_BYTES: usize = 128 << 10;

/// After this many timeouts no more files are opened: each takes the whole time, and
/// there are hundreds of files.
const MAX_GIVEN_UP: u32 = 3;

/// How long to wait for the system.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// `None` waits forever.
    timeout: Option<Duration>,
    given_up: Arc<AtomicU32>,
}

/// A regular file, read by a thread of its own. If the kernel or a file system does not
/// answer, the reader gives up, and the thread is abandoned.
#[derive(Debug)]
pub(crate) struct TimeoutFile {
    steps: Receiver<io::Result<Vec<u8>>>,
    current: io::Cursor<Vec<u8>>,
    patience: Patience,
}

impl Patience {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            given_up: Arc::default(),
        }
    }

    /// The result of `question`, called in a thread of its own.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.check()?;
        let (sender, answer) = bounded(1);
        thread().spawn(move || sender.send(question()))?;
        match self.next(&answer) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other(
                "its thread ended early; this is a bug in linpmem-dump",
            )),
            Err(RecvTimeoutError::Timeout) => Err(no_answer()),
        }
    }

    fn check(&self) -> io::Result<()> {
        match self.given_up.load(Ordering::Relaxed) {
            MAX_GIVEN_UP.. => Err(no_answer()),
            _ => Ok(()),
        }
    }

    fn next<T>(&self, answers: &Receiver<T>) -> Result<T, RecvTimeoutError> {
        let answer = match self.timeout {
            Some(timeout) => answers.recv_timeout(timeout),
            None => answers.recv().map_err(RecvTimeoutError::from),
        };
        if matches!(answer, Err(RecvTimeoutError::Timeout)) {
            self.given_up.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the system did not answer in time")
}

fn thread() -> Builder {
    Builder::new()
        .name("artifacts".to_owned())
        .stack_size(STACK_BYTES)
}

impl TimeoutFile {
    /// The file at `path`. An error of opening it appears at the first read.
    ///
    /// # Errors
    /// If a thread cannot be started, or the system failed to answer too often before.
    pub(crate) fn open(path: &Path, patience: &Patience) -> io::Result<Self> {
        let path = path.to_path_buf();
        Self::open_by(move || open_regular(&path), patience)
    }

    /// What `open` opens, in place of a regular file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_by<R: Read>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        patience: &Patience,
    ) -> io::Result<Self> {
        patience.check()?;
        let (sender, steps) = bounded(STEPS_AHEAD);
        thread().spawn(move || send(open(), &sender))?;
        Ok(Self {
            steps,
            current: io::Cursor::default(),
            patience: patience.clone(),
        })
    }

    /// The whole content, if that is at most `limit` bytes.
    ///
    /// # Errors
    /// The system's; `FileTooLarge` if it has more.
    pub(crate) fn all(path: &Path, limit: u64, patience: &Patience) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Self::open(path, patience)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if len_bytes(&bytes) > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {limit} bytes"),
            ));
        }
        Ok(bytes)
    }
}

impl Read for TimeoutFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = self.current.read(buf)?;
            if len > 0 || buf.is_empty() {
                return Ok(len);
            }
            match self.patience.next(&self.steps) {
                Ok(step) => self.current = io::Cursor::new(step?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => return Err(no_answer()),
            }
        }
    }
}

fn send(opened: io::Result<impl Read>, steps: &Sender<io::Result<Vec<u8>>>) {
    let mut file = match opened {
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

/// Opens a regular file only: pipes and devices might never end, or reading them might
/// have effects.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("this is not a regular file"));
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
        let patience = Patience::new(Some(Duration::from_secs(10)));
        assert_eq!(
            TimeoutFile::all(&path, 300_000, &patience).unwrap(),
            content
        );
        let error = TimeoutFile::all(&path, 299_999, &patience).unwrap_err();
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
            let patience = Patience::new(None);
            assert!(TimeoutFile::all(path, 10, &patience).is_err(), "{path:?}");
        }
    }

    #[test]
    fn what_hangs_is_given_up_and_after_a_while_not_even_asked() {
        // Enough for a thread to begin on a busy machine.
        let patience = Patience::new(Some(Duration::from_millis(500)));
        let (_kept, steps) = bounded(1);
        let mut file = TimeoutFile {
            steps,
            current: io::Cursor::default(),
            patience: patience.clone(),
        };
        let error = file.read(&mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(patience.ask(|| Ok(5)).unwrap(), 5);
        let (_kept, never) = bounded::<()>(1);
        for _ in 1..MAX_GIVEN_UP {
            let never = never.clone();
            let error = patience.ask(move || Ok(never.recv().is_ok()));
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let error = patience.ask(|| Ok(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = TimeoutFile::all(Path::new("/proc/version"), 4096, &patience);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
