// SPDX-License-Identifier: MIT OR Apache-2.0
//! A source that may hang, read by a thread that can be abandoned.
//!
//! A read that the kernel does not return from cannot be cancelled: no signal reaches it.
//! So a thread of its own does it, into a buffer that the thread owns while it reads.
//! When the read takes too long, that thread is abandoned with everything it owns, and
//! another one continues. The range that hung is then read page by page, to find the
//! page that does not answer; if the read was only slow, nothing is lost.
//!
//! A thread that never returns keeps the process from ending completely, but the image
//! and its manifest are finished by then.

use crate::read_target::ReadTarget;
use crate::reader::ReadPages;
use crossbeam_channel::{Receiver, Sender, bounded};
use linpmem_phys::{
    Errno, PAGE_SIZE, PageBuffer, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// After this many pages of one request, the rest of the request is given up.
const MAX_PAGES: u32 = 3;
/// After this many abandoned threads nothing more is read: the machine is in trouble.
const MAX_ABANDONED: u32 = 32;

/// A source with a time limit for each request.
pub(crate) struct TimeoutReader {
    reader: Arc<dyn ReadPhys>,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    worker: Option<Worker>,
    abandoned: u32,
}

struct Worker {
    requests: Sender<Request>,
    answers: Receiver<Answer>,
    thread: JoinHandle<()>,
}

struct Request {
    start: PhysAddr,
    buffer: PageBuffer,
}

struct Answer {
    buffer: PageBuffer,
    unreadable: Unreadables,
    result: Result<(), SourceError>,
}

impl TimeoutReader {
    pub(crate) fn new(reader: Arc<dyn ReadPhys>, timeout: Duration) -> Self {
        Self {
            reader,
            timeout,
            state: Mutex::default(),
        }
    }

    /// The bytes from `start` on, in `buffer`. `None` if there was no answer in time: then
    /// nothing was read, and the thread keeps the buffer.
    fn request(
        &self,
        state: &mut State,
        start: PhysAddr,
        buffer: PageBuffer,
        unreadable: &mut Unreadables,
    ) -> Result<Option<PageBuffer>, SourceError> {
        if state.abandoned >= MAX_ABANDONED {
            return Ok(None);
        }
        let lost = |_| SourceError::new(start, "the reading thread is gone; this is a bug");
        let worker = match state.worker.take() {
            Some(worker) => worker,
            None => self.spawn_worker(start)?,
        };
        let request = Request { start, buffer };
        worker.requests.send(request).map_err(|_| lost(()))?;
        match worker.answers.recv_timeout(self.timeout) {
            Ok(answer) => {
                answer.result?;
                unreadable.append(&answer.unreadable);
                state.worker = Some(worker);
                Ok(Some(answer.buffer))
            }
            Err(error) if error.is_timeout() => {
                state.abandoned += 1;
                Ok(None)
            }
            Err(_) => Err(lost(())),
        }
    }

    /// A thread that reads until the requests end.
    fn spawn_worker(&self, at: PhysAddr) -> Result<Worker, SourceError> {
        let (requests, todo) = bounded::<Request>(1);
        let (done, answers) = bounded(1);
        let reader = Arc::clone(&self.reader);
        let thread = Builder::new()
            .name("source".to_owned())
            .spawn(move || {
                for Request { start, mut buffer } in todo {
                    let mut unreadable = Unreadables::new();
                    let result = reader.read_phys(start, &mut buffer, &mut unreadable);
                    let answer = Answer {
                        buffer,
                        unreadable,
                        result,
                    };
                    if done.send(answer).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| SourceError::new(at, format!("starting a thread: {error}")))?;
        Ok(Worker {
            requests,
            answers,
            thread,
        })
    }

    /// Reads a range page by page, after reading all of it at once timed out.
    fn search(
        &self,
        state: &mut State,
        target: ReadTarget<'_>,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        if target.range().len() <= PAGE_SIZE {
            target.refuse(Errno::ETIMEDOUT, unreadable);
            return Ok(());
        }
        let mut hung = 0;
        let mut rest = Some(target);
        let pages: Vec<PhysRange> = rest
            .iter()
            .flat_map(|target| target.range().pieces(PAGE_SIZE))
            .collect();
        for page in pages {
            let Some(left) = rest.take() else { break };
            if hung >= MAX_PAGES {
                left.refuse(Errno::ETIMEDOUT, unreadable);
                break;
            }
            let (own, after) = left.split_at(page.end());
            if let Some(mut own) = own {
                let buffer = PageBuffer::new(own.bytes().len());
                match self.request(state, page.start(), buffer, unreadable)? {
                    Some(answer) => own.bytes().copy_from_slice(&answer),
                    None => {
                        own.refuse(Errno::ETIMEDOUT, unreadable);
                        hung += 1;
                    }
                }
            }
            rest = after;
        }
        Ok(())
    }
}

/// Waits for the idle thread: until it has ended it keeps the source open, and a module
/// that is open cannot be unloaded. Does not wait for abandoned threads.
impl Drop for TimeoutReader {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = state.worker.take() {
            drop((worker.requests, worker.answers));
            // If it panicked, the read that it was doing has reported that.
            let _ = worker.thread.join();
        }
    }
}

impl ReadPages for TimeoutReader {
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let len = buffer.len();
        if len == 0 {
            return Ok(()); // nothing was asked for
        }
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lent = std::mem::take(buffer);
        if let Some(filled) = self.request(state, start, lent, unreadable)? {
            *buffer = filled;
            return Ok(());
        }
        // The other one stays with the thread that was abandoned.
        buffer.set_len(len);
        match ReadTarget::new(start, buffer) {
            Some(target) => self.search(state, target, unreadable),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Never answers for the pages in `hangs`, and takes its time for the page in
    /// `slow` unless it is asked for alone.
    struct Hanging {
        hangs: PhysRange,
        slow: PhysAddr,
    }

    fn range(first: u64, last: u64) -> PhysRange {
        PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap()
    }

    impl ReadPhys for Hanging {
        fn read_phys(
            &self,
            start: PhysAddr,
            buf: &mut [u8],
            _: &mut Unreadables,
        ) -> Result<(), SourceError> {
            let len = u64::try_from(buf.len()).unwrap();
            let asked = range(start.get(), start.get() + len - 1);
            while asked.intersect(self.hangs).is_some() {
                std::thread::park();
            }
            if asked.contains(self.slow) && asked.len() > PAGE_SIZE {
                std::thread::sleep(Duration::from_millis(2000));
            }
            buf.fill(0xaa);
            Ok(())
        }
    }

    fn read(hangs: PhysRange, slow: u64) -> Vec<PhysRange> {
        let hanging = Hanging {
            hangs,
            slow: PhysAddr::new(slow),
        };
        let reader = TimeoutReader::new(Arc::new(hanging), Duration::from_millis(700));
        let mut all = Vec::new();
        for start in [0, 0x10_0000, 0x20_0000] {
            let mut bytes = PageBuffer::new(0x10_0000);
            bytes.fill(0x55);
            let mut unreadable = Unreadables::new();
            let read = reader.read_pages(PhysAddr::new(start), &mut bytes, &mut unreadable);
            read.unwrap();
            assert_eq!(bytes.len(), 0x10_0000);
            for (addr, &byte) in (start..).zip(bytes.iter()).step_by(0x1000) {
                let is_listed = |item: &linpmem_phys::Unreadable| {
                    assert_eq!(item.errno, Errno::ETIMEDOUT);
                    item.range.contains(PhysAddr::new(addr))
                };
                let is_bad = unreadable.as_slice().iter().any(is_listed);
                assert_eq!(byte, if is_bad { 0 } else { 0xaa }, "{addr:#x}");
            }
            all.extend(unreadable.as_slice().iter().map(|item| item.range));
        }
        all
    }

    #[test]
    fn a_page_that_hangs_is_found_and_the_rest_is_read() {
        let begun = Instant::now();
        let page = range(0x11_0000, 0x11_0fff);
        assert_eq!(read(page, u64::MAX), [page]);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn many_pages_that_hang_give_up_the_request_and_no_other() {
        let found = read(range(0x11_0000, 0x11_ffff), u64::MAX);
        assert_eq!(found, [range(0x11_0000, 0x1f_ffff)]);
    }

    /// Notes when it is dropped, which takes its time.
    struct Slow(Arc<std::sync::atomic::AtomicBool>);

    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(200));
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    impl ReadPhys for Slow {
        fn read_phys(
            &self,
            _: PhysAddr,
            _: &mut [u8],
            _: &mut Unreadables,
        ) -> Result<(), SourceError> {
            Ok(())
        }
    }

    #[test]
    fn the_source_is_closed_when_it_is_dropped() {
        for _ in 0..5 {
            let is_closed = Arc::default();
            let slow = Slow(Arc::clone(&is_closed));
            let reader = TimeoutReader::new(Arc::new(slow), Duration::from_secs(60));
            let mut bytes = PageBuffer::new(0x1000);
            reader
                .read_pages(PhysAddr::ZERO, &mut bytes, &mut Unreadables::new())
                .unwrap();
            drop(reader);
            assert!(is_closed.load(std::sync::atomic::Ordering::SeqCst));
        }
    }

    #[test]
    fn what_is_only_slow_loses_nothing() {
        let nowhere = range(0x1000_0000, 0x1000_0fff);
        assert!(read(nowhere, 0x11_0000).is_empty());
    }
}
