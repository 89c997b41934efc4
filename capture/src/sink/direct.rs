// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing past the page cache.
//!
//! What is written through the page cache is copied into free pages, and each of these is
//! a page of the memory that is being acquired. Direct writes use none. Their buffers,
//! offsets and lengths have to be multiples of a block. A chunk that is aligned like this
//! in the file is written from the buffer that it was read into; everything else is
//! collected in a few aligned stages. A thread writes one piece while the next ones
//! arrive.
//!
//! Disk space is reserved before bytes are accepted, so that a full disk is an error of
//! the call with those bytes and not of a later one.

use super::behind::drop_cache;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use linpmem_phys::PageBuffer;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fdatasync};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::thread::JoinHandle;

/// Offsets, lengths and addresses are multiples of this. No disk has larger blocks.
const BLOCK: usize = 4096;
const BLOCK_BYTES: u64 = 4096;
/// Bytes that are collected and written at once.
const STAGE_BYTES: usize = 1 << 20;
/// One is being filled, one is being written, and one is in the queue.
const STAGES: usize = 3;

/// Writes to a file from front to back, in large aligned pieces.
#[derive(Debug)]
pub struct DirectWriter {
    file: File,
    stage: Option<Stage>,
    /// Stages that exist; they are made when they are needed.
    stages: usize,
    thread: Option<Writing>,
    /// Up to here the file system has reserved blocks.
    reserved: u64,
}

/// Bytes that are being collected.
///
/// # Invariants
/// `used` is at most [`STAGE_BYTES`], the length of `buffer`.
#[derive(Debug)]
struct Stage {
    buffer: PageBuffer,
    used: usize,
    /// The file offset of the first byte, a multiple of a block.
    offset: u64,
}

/// Bytes on their way to the disk.
#[derive(Debug)]
enum Piece {
    Stage(Stage),
    Shared { bytes: Bytes, offset: u64 },
}

#[derive(Debug)]
struct Writing {
    pieces: Sender<Piece>,
    empty: Receiver<Stage>,
    thread: JoinHandle<io::Result<()>>,
}

impl DirectWriter {
    /// Writes to `file`, which must be empty; `None` if its file system cannot reserve space
    /// or has no direct writes.
    #[must_use]
    pub fn new(file: &File) -> Option<Self> {
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, BLOCK_BYTES) {
            // A full disk is an error once there is something to write.
            Ok(()) | Err(Errno::NOSPC) => {}
            Err(_) => return None,
        }
        // A file description of its own: the flag applies to all descriptors that share one.
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        let direct = File::from(rustix::fs::open(own, flags, Mode::empty()).ok()?);
        let plain = file.try_clone().ok()?;
        let (pieces, todo) = bounded::<Piece>(STAGES);
        let (done, empty) = bounded(STAGES);
        let thread = std::thread::Builder::new()
            .name("write".to_owned())
            .spawn(move || {
                for piece in todo {
                    match piece {
                        Piece::Stage(stage) => {
                            write(stage.bytes(), stage.offset, &direct, &plain)?;
                            // Fails only if the writer was dropped.
                            let _ = done.send(stage);
                        }
                        Piece::Shared { bytes, offset } => {
                            write(&bytes, offset, &direct, &plain)?;
                        }
                    }
                }
                Ok(())
            })
            .ok()?;
        Some(Self {
            file: file.try_clone().ok()?,
            stage: None,
            stages: 0,
            thread: Some(Writing {
                pieces,
                empty,
                thread,
            }),
            reserved: 0,
        })
    }

    /// Takes `bytes`, which belong at `position`.
    ///
    /// # Errors
    /// If the disk is full, or writing earlier bytes failed.
    pub fn bytes(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.reserve(position, len_bytes(bytes))?;
        let (mut position, mut rest) = (position, bytes);
        while !rest.is_empty() {
            let stage = self.stage(position)?;
            let (now, later) = rest.split_at(stage.room().min(rest.len()));
            stage.push(now);
            position += len_bytes(now);
            rest = later;
            if stage.room() == 0 {
                self.submit()?;
            }
        }
        Ok(())
    }

    /// Takes `bytes`, which belong at `position`, without copying them if they are aligned to
    /// blocks in memory and in the file.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn shared(&mut self, position: u64, bytes: &Bytes) -> io::Result<()> {
        let is_on_blocks = position % BLOCK_BYTES == 0
            && bytes.len() % BLOCK == 0
            && bytes.as_ptr().align_offset(BLOCK) == 0;
        if !is_on_blocks {
            return self.bytes(position, bytes);
        }
        self.reserve(position, len_bytes(bytes))?;
        // The collected bytes end where these begin.
        self.submit()?;
        self.send(Piece::Shared {
            bytes: bytes.clone(),
            offset: position,
        })
    }

    /// Leaves a hole of `len` bytes at `position`, except for partial blocks at its ends.
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
        let (zeros, _) = ZEROS.split_at(u64_as_usize(head));
        self.bytes(position, zeros)?;
        let hole = position + head;
        let tail = (end - end % BLOCK_BYTES).max(hole);
        if tail > hole {
            self.submit()?;
        }
        let (zeros, _) = ZEROS.split_at(u64_as_usize(end - tail));
        self.bytes(tail, zeros)
    }

    /// Writes the rest, which need not be whole blocks, and waits for the disk.
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

    /// Reserves disk space for `len` bytes at `position`.
    fn reserve(&mut self, position: u64, len: u64) -> io::Result<()> {
        let end = position
            .checked_add(len)
            .and_then(|end| end.checked_next_multiple_of(BLOCK_BYTES))
            .ok_or(io::ErrorKind::FileTooLarge)?;
        if len == 0 || end <= self.reserved {
            return Ok(());
        }
        let start = self.reserved.max(position - position % BLOCK_BYTES);
        fallocate(&self.file, FallocateFlags::KEEP_SIZE, start, end - start)?;
        self.reserved = end;
        Ok(())
    }

    /// The stage that the byte at `position` goes to.
    fn stage(&mut self, position: u64) -> io::Result<&mut Stage> {
        let stage = match self.stage.take() {
            Some(stage) => stage,
            None => {
                let Some(mut stage) = self.empty_stage() else {
                    return Err(self.reason());
                };
                stage.used = 0;
                stage.offset = position;
                stage
            }
        };
        Ok(self.stage.insert(stage))
    }

    /// A stage to fill: a new one, or one that has been written.
    fn empty_stage(&mut self) -> Option<Stage> {
        let empty = &self.thread.as_ref()?.empty;
        if let Ok(stage) = empty.try_recv() {
            return Some(stage);
        }
        if self.stages < STAGES {
            self.stages += 1;
            return Some(Stage {
                buffer: PageBuffer::new(STAGE_BYTES),
                used: 0,
                offset: 0,
            });
        }
        empty.recv().ok()
    }

    /// Hands the stage over to the thread.
    fn submit(&mut self) -> io::Result<()> {
        match self.stage.take() {
            None => Ok(()),
            Some(stage) => self.send(Piece::Stage(stage)),
        }
    }

    fn send(&mut self, piece: Piece) -> io::Result<()> {
        match &self.thread {
            Some(writing) if writing.pieces.send(piece).is_ok() => Ok(()),
            _ => Err(self.reason()),
        }
    }

    /// Why the thread has ended early.
    fn reason(&mut self) -> io::Error {
        let gone = || io::Error::other("the writing thread is gone; this is a bug");
        self.ended().err().unwrap_or_else(gone)
    }

    fn ended(&mut self) -> io::Result<()> {
        let Some(Writing { pieces, thread, .. }) = self.thread.take() else {
            return Ok(());
        };
        drop(pieces);
        match thread.join() {
            Ok(result) => result,
            Err(_) => Err(io::Error::other("the writing thread panicked")),
        }
    }
}

impl Stage {
    const fn room(&self) -> usize {
        STAGE_BYTES - self.used
    }

    /// Appends as many of `bytes` as there is room for.
    fn push(&mut self, bytes: &[u8]) {
        let (_, free) = self.buffer.split_at_mut(self.used);
        let (target, _) = free.split_at_mut(bytes.len());
        target.copy_from_slice(bytes);
        self.used += bytes.len();
    }

    fn bytes(&self) -> &[u8] {
        let (bytes, _) = self.buffer.split_at(self.used);
        bytes
    }
}

fn write(bytes: &[u8], offset: u64, direct: &File, plain: &File) -> io::Result<()> {
    match direct.write_all_at(bytes, offset) {
        // It accepts the flag but not the writes, so they go through the page cache.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            plain.write_all_at(bytes, offset)?;
            fdatasync(plain)?;
            drop_cache(plain, offset, offset + len_bytes(bytes));
            Ok(())
        }
        other => other,
    }
}
