// SPDX-License-Identifier: MIT OR Apache-2.0
//! Write-behind: dirty pages of the image are written to disk early, and dropped from the
//! page cache.
//!
//! For every page of page cache that the image takes, the kernel reuses a page that might
//! be evidence. So the file is written in windows: while one fills, the one before it is
//! synced to disk and its pages are dropped. No more than two windows are in memory at
//! any time.

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::fs::{Advice, fadvise, fdatasync};
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::thread::JoinHandle;

/// Bytes that may be dirty before they are synced to disk.
pub const WINDOW_BYTES: u64 = 8 << 20;

/// A thread that syncs windows of a file to disk.
#[derive(Debug)]
pub struct WriteBehind {
    /// Where the current window begins.
    start: u64,
    thread: Option<(Sender<Window>, JoinHandle<io::Result<()>>)>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: u64,
    end: u64,
}

impl WriteBehind {
    /// Syncs `file`, to which the caller writes.
    ///
    /// # Errors
    /// If the file descriptor cannot be duplicated, or the thread cannot be started.
    pub fn new(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        // No capacity: a window is handed over when the one before it is done.
        let (windows, queue) = bounded(0);
        let thread = std::thread::Builder::new()
            .name("write-behind".to_owned())
            .spawn(move || flush(&file, &queue))?;
        Ok(Self {
            start: 0,
            thread: Some((windows, thread)),
        })
    }

    /// The caller has written the file up to `end`.
    ///
    /// # Errors
    /// The disk's error for an earlier window.
    pub fn advance(&mut self, end: u64) -> io::Result<()> {
        if end.saturating_sub(self.start) < WINDOW_BYTES {
            return Ok(());
        }
        let window = Window {
            start: self.start,
            end,
        };
        self.start = end;
        match &self.thread {
            Some((windows, _)) if windows.send(window).is_ok() => Ok(()),
            // The thread has ended early, so it has an error.
            _ => self.finish(),
        }
    }

    /// Waits for the windows that were handed over.
    ///
    /// # Errors
    /// The disk's error for one of them.
    pub fn finish(&mut self) -> io::Result<()> {
        let Some((windows, thread)) = self.thread.take() else {
            return Ok(());
        };
        drop(windows);
        match thread.join() {
            Ok(result) => result,
            Err(_) => Err(io::Error::other("the write-behind thread panicked")),
        }
    }
}

fn flush(file: &File, windows: &Receiver<Window>) -> io::Result<()> {
    for window in windows {
        fdatasync(file)?;
        drop_cache(file, window.start, window.end);
    }
    Ok(())
}

/// Asks the kernel to drop the pages from `start` to `end` from the page cache. If it
/// does not, the file is still correct.
pub fn drop_cache(file: &File, start: u64, end: u64) {
    const PAGE: u64 = 4096;
    // The page that this window shares with the last one was still dirty then.
    let start = start - start % PAGE;
    if let Some(len) = NonZeroU64::new(end.saturating_sub(start)) {
        let _ = fadvise(file, start, Some(len), Advice::DontNeed);
    }
}
