// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing past the page cache.
//!
//! What goes through the page cache is copied by the kernel into free pages, and
//! each of these is a page of evidence. Direct writes take none. They want memory,
//! offsets and lengths that are multiples of a block, so what comes is gathered in
//! a few aligned buffers, and a thread writes one while the next one fills.
//!
//! Room is set aside before bytes are taken, so that a full disk is an error of the
//! call that brought the bytes and not of a later one.

use super::behind::drop_cache;
use crossbeam_channel::{Receiver, Sender, bounded};
use linpmem_phys::num::{len_bytes, u64_as_usize};
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fdatasync};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::thread::JoinHandle;

/// What offsets, lengths and addresses are multiples of. No disk has larger blocks.
const BLOCK: usize = 4096;
const BLOCK_BYTES: u64 = 4096;
/// Bytes that are written at once.
const STAGE_BYTES: usize = 1 << 20;
/// One fills, one is written, one is on its way between.
const STAGES: usize = 3;

/// Writes to a file from front to back, in large aligned pieces.
#[derive(Debug)]
pub struct DirectWriter {
    file: File,
    stage: Option<Stage>,
    thread: Option<Writing>,
    /// Up to here the file system has set blocks aside.
    reserved: u64,
}

/// Bytes on their way to the disk.
#[derive(Debug)]
struct Stage {
    memory: Vec<u8>,
    /// Where in `memory` a block begins.
    begin: usize,
    /// Bytes that are in use from there on.
    used: usize,
    /// The place in the file of the first, a multiple of a block.
    offset: u64,
}

#[derive(Debug)]
struct Writing {
    full: Sender<Stage>,
    empty: Receiver<Stage>,
    thread: JoinHandle<io::Result<()>>,
}

impl DirectWriter {
    /// Writes to `file`, which must be empty; `None` if it cannot be written to in
    /// this way.
    #[must_use]
    pub fn new(file: &File) -> Option<Self> {
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, BLOCK_BYTES) {
            // A full disk is told when there is something to write.
            Ok(()) | Err(Errno::NOSPC) => {}
            Err(_) => return None,
        }
        // A description of its own: the flag would hold for all who share one.
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        let direct = File::from(rustix::fs::open(own, flags, Mode::empty()).ok()?);
        let plain = file.try_clone().ok()?;
        let (full, todo) = bounded::<Stage>(STAGES);
        let (done, empty) = bounded(STAGES);
        for _ in 0..STAGES {
            done.try_send(Stage::new()).ok()?;
        }
        let thread = std::thread::Builder::new()
            .name("write".to_owned())
            .spawn(move || {
                for stage in todo {
                    stage.write(&direct, &plain)?;
                    // Fails when nobody wants it any more.
                    let _ = done.send(stage);
                }
                Ok(())
            })
            .ok()?;
        Some(Self {
            file: file.try_clone().ok()?,
            stage: None,
            thread: Some(Writing {
                full,
                empty,
                thread,
            }),
            reserved: 0,
        })
    }

    /// Takes `bytes`, which belong at `position`.
    ///
    /// # Errors
    /// If there is no room for them; what the disk said to earlier ones.
    pub fn bytes(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.reserve(position, len_bytes(bytes))?;
        let (mut position, mut rest) = (position, bytes);
        while !rest.is_empty() {
            let stage = self.stage(position)?;
            let (now, later) = rest.split_at(stage.room().min(rest.len()));
            stage.push(now);
            position = position.saturating_add(len_bytes(now));
            rest = later;
            if stage.room() == 0 {
                self.submit()?;
            }
        }
        Ok(())
    }

    /// Leaves a hole of `len` bytes at `position`, but for the blocks at its ends.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn zeros(&mut self, position: u64, len: u64) -> io::Result<()> {
        const ZEROS: [u8; BLOCK] = [0; BLOCK];
        let end = position
            .checked_add(len)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        // The rest of the block that was begun.
        let head = position.next_multiple_of(BLOCK_BYTES).min(end) - position;
        self.bytes(position, ZEROS.get(..u64_as_usize(head)).unwrap_or(&ZEROS))?;
        let hole = position.saturating_add(head);
        let tail = (end - end % BLOCK_BYTES).max(hole);
        if tail > hole {
            self.submit()?;
        }
        let left = u64_as_usize(end - tail);
        self.bytes(tail, ZEROS.get(..left).unwrap_or(&ZEROS))
    }

    /// Writes what is left, which need not be whole blocks, and waits for the disk.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn finish(&mut self) -> io::Result<()> {
        self.ended()?;
        if let Some(stage) = self.stage.take() {
            self.file.write_all_at(stage.bytes(), stage.offset)?;
        }
        Ok(())
    }

    /// Sees to it that the file system has room for `len` bytes at `position`.
    fn reserve(&mut self, position: u64, len: u64) -> io::Result<()> {
        let end = position.saturating_add(len);
        if len == 0 || end <= self.reserved {
            return Ok(());
        }
        let start = self.reserved.max(position - position % BLOCK_BYTES);
        let end = end.next_multiple_of(BLOCK_BYTES);
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, start, end - start) {
            Ok(()) => self.reserved = end,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The stage that the byte at `position` goes to.
    fn stage(&mut self, position: u64) -> io::Result<&mut Stage> {
        let stage = match self.stage.take() {
            Some(stage) => stage,
            None => {
                let empty = self.thread.as_ref().and_then(|it| it.empty.recv().ok());
                match empty {
                    Some(mut stage) => {
                        stage.used = 0;
                        stage.offset = position;
                        stage
                    }
                    None => return Err(self.reason()),
                }
            }
        };
        Ok(self.stage.insert(stage))
    }

    /// Hands the stage over.
    fn submit(&mut self) -> io::Result<()> {
        let Some(stage) = self.stage.take().filter(|stage| stage.used > 0) else {
            return Ok(());
        };
        match &self.thread {
            Some(writing) if writing.full.send(stage).is_ok() => Ok(()),
            _ => Err(self.reason()),
        }
    }

    /// Why the thread has ended before its time.
    fn reason(&mut self) -> io::Error {
        let gone = || io::Error::other("the writing thread is gone; this is a bug");
        self.ended().err().unwrap_or_else(gone)
    }

    fn ended(&mut self) -> io::Result<()> {
        let Some(Writing { full, thread, .. }) = self.thread.take() else {
            return Ok(());
        };
        drop(full);
        match thread.join() {
            Ok(result) => result,
            Err(_) => Err(io::Error::other("the writing thread panicked")),
        }
    }
}

impl Stage {
    fn new() -> Self {
        let memory = vec![0; STAGE_BYTES + BLOCK];
        let begin = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        Self {
            memory,
            begin,
            used: 0,
            offset: 0,
        }
    }

    const fn room(&self) -> usize {
        STAGE_BYTES.saturating_sub(self.used)
    }

    /// Appends `bytes`, no more than there is room for.
    fn push(&mut self, bytes: &[u8]) {
        let from = self.begin.saturating_add(self.used);
        let to = from.saturating_add(bytes.len());
        if let Some(target) = self.memory.get_mut(from..to) {
            target.copy_from_slice(bytes);
            self.used = self.used.saturating_add(bytes.len());
        }
    }

    fn bytes(&self) -> &[u8] {
        let end = self.begin.saturating_add(self.used);
        self.memory.get(self.begin..end).unwrap_or_default()
    }

    fn write(&self, direct: &File, plain: &File) -> io::Result<()> {
        match direct.write_all_at(self.bytes(), self.offset) {
            // It takes the flag but not the writes: through the page cache, then.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                plain.write_all_at(self.bytes(), self.offset)?;
                fdatasync(plain)?;
                let end = self.offset.saturating_add(len_bytes(self.bytes()));
                drop_cache(plain, self.offset, end);
                Ok(())
            }
            other => other,
        }
    }
}
