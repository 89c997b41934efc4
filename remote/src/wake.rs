// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wakes a thread that waits for a socket.

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Whoever waits for a connection, and for something of this process as well, waits for this.
#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    /// Nobody is woken yet.
    ///
    /// # Errors
    /// If the process has too many open files.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// Wakes the thread that waits, or the next one that does.
    pub fn wake(&self) {
        // It fails if it has been called 2^64 - 1 times, and then it is awake.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Lets whoever waits next sleep, until it is woken anew.
    pub(crate) fn reset(&self) {
        // It fails if there is nothing to reset.
        let _ = read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    impl Wake {
        pub(crate) fn is_awake(&self) -> bool {
            let mut polled = [PollFd::new(self, PollFlags::IN)];
            poll(&mut polled, Some(&Timespec::default())).unwrap() == 1
        }
    }

    #[test]
    fn it_is_awake_until_it_is_reset() {
        let wake = Wake::new().unwrap();
        assert!(!wake.is_awake());
        wake.wake();
        wake.wake();
        assert!(wake.is_awake());
        wake.reset();
        assert!(!wake.is_awake());
        wake.reset();
    }
}
