// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was sent and is not on the receiver's disk yet. It cannot be read a second time.

use crate::error::SendError;
use crate::message::Stream;
use crate::wake::Wake;
use crate::wire::PIECE_BYTES;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes of image that are on their way at most.
pub const MOST_QUEUED_BYTES: usize = 8 << 20;

/// Messages that are on their way at most: zero bytes take no memory.
const MOST_MESSAGES: usize = 1024;

/// A message that has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Bytes(Stream, Bytes),
    Zeros(Stream, u64),
    /// The last one.
    Finish(Vec<u8>),
}

/// Messages between the thread that reads memory and the one that sends.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// For the sending thread, which waits for the receiver as well.
    wake: Wake,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    /// The number of the first of them.
    first: u64,
    /// How many of them were sent over this connection.
    sent: usize,
    /// Bytes in all of them.
    bytes: usize,
    /// Whether the sending thread has nothing to send.
    is_idle: bool,
    /// Whoever adds is gone.
    is_closed: bool,
    /// Nothing more will be sent.
    failed: Option<SendError>,
}

/// What the sending thread finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send this, with this number.
    Item(u64, Item),
    /// Everything is sent, and some of it is not acknowledged.
    Unacknowledged,
    /// Everything is acknowledged.
    Nothing,
    /// Nobody adds or waits any more.
    Closed,
}

impl Item {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(_, bytes) => bytes.len(),
            Self::Zeros(..) | Self::Finish(_) => 0,
        }
    }
}

impl State {
    fn is_full(&self, more: usize) -> bool {
        let is_long = self.items.len() >= MOST_MESSAGES;
        is_long || (self.bytes > 0 && self.bytes + more > MOST_QUEUED_BYTES)
    }

    fn drop_first(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.bytes -= item.len();
            self.first += 1;
            self.sent = self.sent.saturating_sub(1);
        }
    }
}

impl Queue {
    /// An empty one.
    ///
    /// # Errors
    /// If the process has too many open files.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            wake: Wake::new()?,
        })
    }

    /// Is woken if there is something to send after [`Next::Unacknowledged`].
    pub(crate) const fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Tells all who wait that something has changed.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        if mem::take(&mut state.is_idle) {
            self.wake.wake();
        }
        self.changed.notify_all();
    }

    /// Adds bytes, in pieces that fit into frames, and waits for room.
    pub(crate) fn bytes(&self, stream: Stream, bytes: &Bytes) -> Result<(), SendError> {
        let mut from = 0;
        while from < bytes.len() {
            let to = bytes.len().min(from + PIECE_BYTES);
            self.push(Item::Bytes(stream, bytes.slice(from..to)))?;
            from = to;
        }
        Ok(())
    }

    /// Adds `item`, and waits for room.
    pub(crate) fn push(&self, item: Item) -> Result<(), SendError> {
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if !state.is_full(item.len()) {
                break;
            }
            state = self.wait(state);
        }
        state.bytes += item.len();
        state.items.push_back(item);
        self.tell(state);
        Ok(())
    }

    /// Waits until everything is acknowledged.
    pub(crate) fn drained(&self) -> Result<(), SendError> {
        let mut state = self.lock();
        loop {
            match &state.failed {
                Some(error) => return Err(error.clone()),
                None if state.items.is_empty() => return Ok(()),
                None => state = self.wait(state),
            }
        }
    }

    /// What is to be sent next. Waits for a moment if there is nothing at all to do.
    pub(crate) fn next(&self, wait: Duration) -> Next {
        let mut state = self.lock();
        if state.items.is_empty() && !state.is_closed {
            let waited = self.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let number = state.first + as_number(state.sent);
        match state.items.get(state.sent).cloned() {
            Some(item) => {
                state.sent += 1;
                Next::Item(number, item)
            }
            None if state.is_closed => Next::Closed,
            None if state.items.is_empty() => Next::Nothing,
            None => {
                state.is_idle = true;
                Next::Unacknowledged
            }
        }
    }

    /// The receiver has everything below `number` on its disk. Returns whether that can be.
    #[must_use]
    pub(crate) fn acknowledge(&self, number: u64) -> bool {
        let mut state = self.lock();
        if number > state.first + as_number(state.sent) {
            return false;
        }
        while state.first < number {
            state.drop_first();
        }
        self.changed.notify_all();
        true
    }

    /// Over a new connection, the receiver expects `number` next. Returns whether that can be:
    /// it cannot have lost what it had on its disk, nor have what it was not sent.
    #[must_use]
    pub(crate) fn resume(&self, number: u64) -> bool {
        let mut state = self.lock();
        if number < state.first || number > state.first + as_number(state.items.len()) {
            return false;
        }
        while state.first < number {
            state.drop_first();
        }
        state.sent = 0;
        self.changed.notify_all();
        true
    }

    /// Ends the sending thread.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.tell(state);
    }

    /// Whether nobody adds or waits any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Nothing more will be sent.
    pub(crate) fn fail(&self, error: SendError) {
        let mut state = self.lock();
        state.failed.get_or_insert(error);
        // Memory that waits is of no use to anybody.
        state.items.clear();
        (state.bytes, state.sent) = (0, 0);
        self.tell(state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count of messages in memory as part of a number.
fn as_number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    const SOON: Duration = Duration::from_millis(1);

    fn zeros(len: u64) -> Item {
        Item::Zeros(Stream::Image, len)
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again() {
        let queue = Queue::new().unwrap();
        for len in 0..4 {
            queue.push(zeros(len)).unwrap();
        }
        for len in 0..3 {
            assert_eq!(queue.next(SOON), Next::Item(len, zeros(len)));
        }
        assert!(queue.acknowledge(2));
        assert!(queue.resume(2));
        assert_eq!(queue.next(SOON), Next::Item(2, zeros(2)));
        assert_eq!(queue.next(SOON), Next::Item(3, zeros(3)));
        assert_eq!(queue.next(SOON), Next::Unacknowledged);
        // The receiver had one more than it could say.
        assert!(queue.resume(3));
        assert_eq!(queue.next(SOON), Next::Item(3, zeros(3)));
        assert!(queue.acknowledge(4));
        assert_eq!(queue.next(SOON), Next::Nothing);
        queue.close();
        assert_eq!(queue.next(SOON), Next::Closed);
    }

    #[test]
    fn a_receiver_cannot_acknowledge_what_it_did_not_get_nor_lose_what_it_has() {
        let queue = Queue::new().unwrap();
        for len in 0..3 {
            queue.push(zeros(len)).unwrap();
        }
        queue.next(SOON);
        queue.next(SOON);
        assert!(!queue.acknowledge(3));
        assert!(queue.acknowledge(1));
        assert!(!queue.resume(0));
        assert!(!queue.resume(4));
        assert!(queue.resume(3));
    }

    #[test]
    fn bytes_are_cut_into_frames_and_wait_for_room() {
        let queue = Arc::new(Queue::new().unwrap());
        let bytes = Bytes::from(vec![1; MOST_QUEUED_BYTES + 1]);
        let adding = {
            let queue = Arc::clone(&queue);
            let bytes = bytes.clone();
            thread::spawn(move || queue.bytes(Stream::Image, &bytes))
        };
        let mut got = Vec::new();
        let mut number = 0;
        while got.len() < bytes.len() {
            if let Next::Item(next, Item::Bytes(Stream::Image, piece)) = queue.next(SOON) {
                assert_eq!(next, number);
                assert!(piece.len() <= PIECE_BYTES);
                got.extend_from_slice(&piece);
                number += 1;
                // Nothing is let go of before the queue is full.
                if got.len() == MOST_QUEUED_BYTES {
                    assert!(!adding.is_finished());
                    assert!(queue.acknowledge(1));
                }
            }
        }
        assert!(got == bytes);
        adding.join().unwrap().unwrap();
    }

    #[test]
    fn whoever_waits_for_the_receiver_is_woken_by_more_to_send_and_by_the_end() {
        let changes: [fn(&Queue); 3] = [
            |queue| queue.push(zeros(2)).unwrap(),
            Queue::close,
            |queue| queue.fail(SendError::Refused("no".to_owned())),
        ];
        for change in changes {
            let queue = Queue::new().unwrap();
            queue.push(zeros(1)).unwrap();
            assert_eq!(queue.next(SOON), Next::Item(0, zeros(1)));
            assert!(!queue.wake().is_awake());
            assert_eq!(queue.next(SOON), Next::Unacknowledged);
            change(&queue);
            assert!(queue.wake().is_awake());
        }
    }

    #[test]
    fn whoever_waits_hears_of_a_failure() {
        let queue = Arc::new(Queue::new().unwrap());
        queue.push(zeros(1)).unwrap();
        let waiting = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.drained())
        };
        queue.fail(SendError::Refused("no".to_owned()));
        assert!(waiting.join().unwrap().is_err());
        assert!(queue.push(zeros(1)).is_err());
    }
}
