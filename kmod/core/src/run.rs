// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Runs of pages that are read together.

use super::access::Access;
use super::classify::{Classifier, Route};
use super::kernel::{Copied, Kernel, Transfer, PAGE_SIZE};
use super::Errno;

/// How many bytes are read before the task may be rescheduled and signals are checked.
/// Also the longest single copy.
const BATCH_BYTES: u64 = 2 << 20;

/// Reads a request run by run.
pub struct Runs<'a, K, T> {
    kernel: &'a K,
    transfer: &'a mut T,
    classifier: Classifier<'a, K>,
    /// Pages below this address are mapped one by one: they could not be mapped together.
    one_by_one_until: u64,
    /// A route that the kernel refused to map, and where to try it again.
    refused: Option<(Route, u64)>,
    /// Whether the current run has read a device.
    touched_device: bool,
}

/// A run of pages, after an attempt to read it.
pub struct Run {
    /// How its pages are read, or why they are not.
    pub route: Result<Route, Errno>,
    /// The address behind its last byte.
    pub stop: u64,
    /// What arrived.
    pub copied: Copied,
    /// Whether a device was read, as the run's route or where that failed.
    touched_device: bool,
}

impl Run {
    /// Whether the copy stopped because the caller's buffer was not present. The same
    /// bytes may be tried again, unless they come from a device.
    pub fn lacks_buffer(&self) -> bool {
        self.copied.stopped == Some(Errno::EFAULT) && !self.touched_device
    }
}

impl<'a, K: Kernel, T: Transfer> Runs<'a, K, T> {
    /// The runs of one request.
    pub fn new(kernel: &'a K, transfer: &'a mut T, access: Access) -> Self {
        Self {
            kernel,
            transfer,
            classifier: Classifier::new(kernel, access),
            one_by_one_until: 0,
            refused: None,
            touched_device: false,
        }
    }

    /// The first address that the processor cannot form.
    pub fn limit(&self) -> u64 {
        self.classifier.limit()
    }

    /// The caller's buffer.
    pub fn transfer(&mut self) -> &mut T {
        self.transfer
    }

    /// Reads the first run of `start..end`, or a part of it.
    ///
    /// Between the decision that a page may be read and the end of the copy, the kernel
    /// cannot remove the page. It cannot know of memory that a hypervisor takes back in
    /// pieces, so the pages are looked at again after the copy.
    pub fn next(&mut self, start: u64, end: u64) -> Run {
        self.touched_device = false;
        let held = self.kernel.hold_memory();
        let (route, stop) = self.classify(&held, start, end.min(batch_end(start)));
        let copied = match route {
            Err(errno) => failed(errno),
            Ok(route @ (Route::DirectMap | Route::Image | Route::Alias)) => {
                let copied = self.copy(route, start, stop);
                self.check_again(&held, start, copied)
            }
            Ok(route @ (Route::Firmware | Route::Rom | Route::Device { .. })) => {
                // Nothing here can be unplugged as memory. And what was loaded from a
                // device must not be lost, so that copy waits for the caller's buffer.
                drop(held);
                self.copy(route, start, stop)
            }
        };
        Run {
            route,
            stop,
            copied,
            touched_device: self.touched_device,
        }
    }

    /// Makes the caller's buffer present, from where the last copy stopped to the end of
    /// its batch.
    ///
    /// # Errors
    /// `EFAULT` if not even the next byte can be written.
    pub fn make_buffer_present(&mut self, next: u64, end: u64) -> Result<(), Errno> {
        let len = distance(next, end.min(batch_end(next)));
        self.transfer.make_present(len)
    }

    /// The next run of pages from `start` that can be handled together, up to `end`:
    /// consecutive pages with the same route or the same error; of a device, a single
    /// page. Returns their route and the end of the run.
    fn classify(&mut self, held: &K::Held, start: u64, end: u64) -> (Result<Route, Errno>, u64) {
        let first = start & !(PAGE_SIZE - 1);
        let route = self.classifier.route(held, first);
        let extends = match route {
            Ok(Route::DirectMap) | Err(_) => true,
            Ok(Route::Firmware | Route::Rom) => first >= self.one_by_one_until,
            Ok(Route::Image | Route::Alias | Route::Device { .. }) => false,
        };
        let mut stop = first.saturating_add(PAGE_SIZE);
        while extends && stop < end && self.classifier.route(held, stop) == route {
            stop = stop.saturating_add(PAGE_SIZE);
        }
        (route, stop.min(end))
    }

    /// Copies a run. Where its route fails, tries the fallback, if there is one. Pages
    /// that cannot be mapped together are mapped one by one.
    fn copy(&mut self, route: Route, start: u64, stop: u64) -> Copied {
        let first = self.try_copy(route, start, stop);
        let Some(errno) = first.stopped else {
            return first;
        };
        let failed = advance(start, first.bytes);
        let page = failed & !(PAGE_SIZE - 1);
        let page_end = page.saturating_add(PAGE_SIZE);
        let is_mapped = matches!(route, Route::Firmware | Route::Rom);
        if is_mapped && errno == Errno::EACCES && page_end < stop {
            self.one_by_one_until = stop;
            return self.copy(route, start, page_end);
        }
        let Some(fallback) = self.classifier.fallback(page, route, errno) else {
            return first;
        };
        let second = self.try_copy(fallback, failed, page_end.min(stop));
        Copied {
            bytes: first.bytes.saturating_add(second.bytes),
            stopped: second.stopped,
        }
    }

    /// Each mapping of a device that the kernel refuses is a line in its log. So after the
    /// first, the rest of the batch is refused without asking.
    fn try_copy(&mut self, route: Route, start: u64, stop: u64) -> Copied {
        if self
            .refused
            .is_some_and(|(refused, until)| refused == route && start < until)
        {
            return failed(Errno::EACCES);
        }
        match self.transfer.copy(route, start, distance(start, stop)) {
            Ok(copied) => {
                self.touched_device |= matches!(route, Route::Device { .. });
                copied
            }
            Err(errno) => {
                if matches!(route, Route::Device { .. }) {
                    self.refused = Some((route, batch_end(start)));
                }
                failed(errno)
            }
        }
    }

    /// Takes back what was copied from pages that may no longer be read.
    fn check_again(&mut self, held: &K::Held, start: u64, copied: Copied) -> Copied {
        let end = advance(start, copied.bytes);
        let first = start & !(PAGE_SIZE - 1);
        let Some((page, errno)) = self.classifier.first_lost(held, first, end) else {
            return copied;
        };
        let good = page.max(start);
        self.transfer.take_back(distance(good, end));
        Copied {
            bytes: distance(start, good),
            stopped: Some(errno),
        }
    }
}

const fn failed(errno: Errno) -> Copied {
    Copied {
        bytes: 0,
        stopped: Some(errno),
    }
}

fn batch_end(start: u64) -> u64 {
    (start & !(BATCH_BYTES - 1)).saturating_add(BATCH_BYTES)
}

/// The address `bytes` behind `start`.
pub fn advance(start: u64, bytes: usize) -> u64 {
    start.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Bytes from `start` to `end`. Never more than the caller's length, so it fits.
pub fn distance(start: u64, end: u64) -> usize {
    usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX)
}
