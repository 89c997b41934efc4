// SPDX-License-Identifier: MIT OR Apache-2.0
//! The content of an archive of zstd frames, from the beginning of any of them on.
//!
//! What is skipped is not decompressed, where frames give their lengths: a swap area is thousands
//! of them.

use linpmem_formats::frames::zstd_frame_at;
use linpmem_formats::{Account, ReadAt};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;
use std::sync::Arc;
use zstd::stream::read::Decoder;

use super::archive::WHAT;
use crate::section::Section;

/// The largest window, as a power of two, that a frame may ask for.
const MAX_WINDOW_LOG: u32 = 23;
/// Bytes that are read ahead.
const AHEAD_BYTES: usize = 64 << 10;

/// Where a frame begins: in the archive, and in its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameStart {
    pub(super) archive: u64,
    pub(super) content: u64,
}

/// The content, as a stream that can only be skipped forward.
pub(super) struct FrameStream {
    archive: Arc<dyn ReadAt>,
    account: Arc<Account>,
    frame: Option<Frame>,
    /// The frame that is read, or that is next.
    start: Rc<Cell<FrameStart>>,
    position: u64,
    /// The content that is read at most.
    limit: u64,
}

struct Frame {
    decoder: Decoder<'static, BufReader<Section>>,
    /// The end of the frame in the archive and what is left of its content, if its headers say.
    end: Option<(u64, u64)>,
}

impl FrameStream {
    pub(super) fn new(
        archive: &Arc<dyn ReadAt>,
        account: &Arc<Account>,
        start: FrameStart,
        limit: u64,
    ) -> Self {
        Self {
            archive: Arc::clone(archive),
            account: Arc::clone(account),
            frame: None,
            position: start.content,
            start: Rc::new(Cell::new(start)),
            limit,
        }
    }

    /// Where the frame begins that is read, for as long as the stream is in other hands.
    pub(super) fn start(&self) -> Rc<Cell<FrameStart>> {
        Rc::clone(&self.start)
    }

    /// The length of the next frame in the archive and that of its content, if it says.
    fn next_frame(&self) -> Option<(u64, u64)> {
        let frame = zstd_frame_at(&self.archive, self.start.get().archive).ok()?;
        Some((frame.compressed_bytes.into(), frame.content_bytes.into()))
    }

    fn begin(&mut self) -> io::Result<()> {
        let at = self.start.get().archive;
        let left = self.archive.len().saturating_sub(at);
        let section = Section::new(Arc::clone(&self.archive), at, left)?;
        let ahead = BufReader::with_capacity(AHEAD_BYTES.min(u64_as_usize(left)), section);
        let mut decoder = Decoder::with_buffer(ahead)?.single_frame();
        decoder.window_log_max(MAX_WINDOW_LOG)?;
        let end = self.next_frame().map(|(len, content)| (at + len, content));
        self.frame = Some(Frame { decoder, end });
        Ok(())
    }

    /// Leaves the frame, of which everything was read.
    fn leave(&mut self, frame: Frame) {
        let archive = match frame.end {
            Some((end, _)) => end,
            None => {
                let ahead = frame.decoder.finish();
                let waiting = usize_as_u64(ahead.buffer().len());
                ahead.get_ref().position().saturating_sub(waiting)
            }
        };
        self.start.set(FrameStart {
            archive,
            content: self.position,
        });
    }
}

impl Read for FrameStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = u64_as_usize(self.limit.saturating_sub(self.position));
        let (buf, _) = buf.split_at_mut(room.min(buf.len()));
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(mut frame) = self.frame.take() else {
                if self.start.get().archive >= self.archive.len() {
                    return Ok(0);
                }
                self.begin()?;
                continue;
            };
            let len = frame.decoder.read(buf)?;
            let read = usize_as_u64(len);
            self.position += read;
            self.account.work(WHAT, read)?;
            let is_whole = match &mut frame.end {
                Some((_, left)) => {
                    *left = left.saturating_sub(read);
                    // The checksum follows.
                    *left == 0 && frame.decoder.read(&mut [0])? == 0
                }
                None => len == 0,
            };
            match is_whole || len == 0 {
                true => self.leave(frame),
                false => self.frame = Some(frame),
            }
            if len > 0 {
                return Ok(len);
            }
        }
    }
}

impl Seek for FrameStream {
    /// Skips `to` bytes of the content.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let forward = match to {
            SeekFrom::Current(forward) => u64::try_from(forward).ok(),
            SeekFrom::Start(at) => at.checked_sub(self.position),
            SeekFrom::End(_) => None,
        };
        let target = forward.and_then(|forward| self.position.checked_add(forward));
        let target = target.ok_or(io::ErrorKind::Unsupported)?;
        let mut skipped = Vec::new();
        while self.position < target {
            let left = target - self.position;
            if self.frame.is_none() {
                let passed = self.next_frame().filter(|&(_, content)| content <= left);
                if let Some((len, content)) = passed {
                    self.account.item(WHAT)?;
                    self.position += content;
                    self.start.set(FrameStart {
                        archive: self.start.get().archive + len,
                        content: self.position,
                    });
                    continue;
                }
            }
            skipped.resize(AHEAD_BYTES.min(u64_as_usize(left)), 0);
            if self.read(&mut skipped)? == 0 {
                let message = "the archive is truncated";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
        }
        Ok(self.position)
    }
}
