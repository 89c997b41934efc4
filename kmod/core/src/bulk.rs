// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Reads of any length.

use super::access::Access;
use super::classify::{Classifier, Route};
use super::kernel::{Copied, Kernel, Statuses, Transfer, PAGE_SIZE};
use super::Errno;

/// How many bytes are read before the task may be rescheduled and signals are checked.
/// Also the longest single copy from the direct map.
const BATCH_BYTES: u64 = 2 << 20;

/// Reads up to `len` bytes at physical address `start`: read(2) and pread(2).
///
/// Stops before the first page that cannot be read, at a signal, and where the
/// caller's buffer ends. A result of 0 is the end of the address space. A caller that
/// continues from where the read stopped then gets the error.
///
/// # Errors
/// The reason why the first byte could not be read.
pub fn read<K: Kernel, T: Transfer>(
    kernel: &K,
    transfer: &mut T,
    access: Access,
    start: u64,
    len: usize,
) -> Result<usize, Errno> {
    let mut classifier = Classifier::new(kernel, access);
    let end = end_of(start, len).min(classifier.limit());
    let mut next = start;
    while next < end {
        let (route, stop) = run(&mut classifier, next, end.min(batch_end(next)));
        let copied = route.and_then(|route| copy(&classifier, transfer, route, next, stop));
        match copied {
            Ok(Copied { bytes, stopped }) => {
                next = advance(next, bytes);
                if let Some(errno) = stopped {
                    return short(start, next, errno);
                }
            }
            Err(errno) => return short(start, next, errno),
        }
        // A read returns at least one batch even if signals keep arriving, so that a
        // process with a fast timer still makes progress.
        if kernel.yield_now() {
            break;
        }
    }
    Ok(distance(start, next))
}

/// Reads up to `len` bytes at physical address `start` and reports the status of every
/// page that they touch. A page that could not be read is zero in the buffer, and its
/// status says why. Stops early only at a signal and where the caller's memory ends.
///
/// # Errors
/// `EFAULT` if the first byte cannot be written to the caller's memory.
pub fn read_pages<K: Kernel, T: Transfer, S: Statuses>(
    kernel: &K,
    transfer: &mut T,
    statuses: &mut S,
    access: Access,
    start: u64,
    len: usize,
) -> Result<usize, Errno> {
    let mut classifier = Classifier::new(kernel, access);
    let end = end_of(start, len);
    let mut next = start;
    while next < end {
        let (route, stop) = run(&mut classifier, next, end.min(batch_end(next)));
        let copied = match route {
            Ok(route) => copy(&classifier, transfer, route, next, stop).unwrap_or_else(failed),
            Err(errno) => failed(errno),
        };
        let good = advance(next, copied.bytes);
        let Some(errno) = copied.stopped else {
            statuses.append(pages(next, good), 0)?;
            next = good;
            if kernel.yield_now() {
                break;
            }
            continue;
        };
        if errno == Errno::EFAULT {
            // Count whole pages only: no status would be true of one copied in part.
            let whole = good & !(PAGE_SIZE - 1);
            statuses.append(pages(next, whole.max(next)), 0)?;
            return short(start, whole.max(next), errno);
        }
        // Either one page faulted, or no page of the run may be read.
        let bad_page = good & !(PAGE_SIZE - 1);
        let bad_end = match route {
            Ok(_) => bad_page.saturating_add(PAGE_SIZE).min(stop),
            Err(_) => stop,
        };
        let zeroed = transfer.zero(distance(good, bad_end));
        if zeroed.stopped.is_some() {
            return short(start, next, Errno::EFAULT);
        }
        statuses.append(pages(next, bad_page.max(next)), 0)?;
        let status = u8::try_from(errno.get()).unwrap_or(u8::MAX);
        statuses.append(pages(bad_page.max(next), bad_end), status)?;
        next = bad_end;
        if kernel.yield_now() {
            break;
        }
    }
    Ok(distance(start, next))
}

/// The next run of pages from `start` that can be handled together, up to `end`:
/// consecutive pages of the direct map, consecutive pages with the same error, or else
/// a single page. Returns their route and the end of the run.
fn run<K: Kernel>(
    classifier: &mut Classifier<'_, K>,
    start: u64,
    end: u64,
) -> (Result<Route, Errno>, u64) {
    let first = start & !(PAGE_SIZE - 1);
    let route = classifier.route(first);
    let extends = matches!(route, Ok(Route::DirectMap) | Err(_));
    let mut stop = first.saturating_add(PAGE_SIZE);
    while extends && stop < end && classifier.route(stop) == route {
        stop = stop.saturating_add(PAGE_SIZE);
    }
    (route, stop.min(end))
}

/// Copies a run; where its route fails, tries the fallback, if there is one.
fn copy<K: Kernel, T: Transfer>(
    classifier: &Classifier<'_, K>,
    transfer: &mut T,
    route: Route,
    start: u64,
    stop: u64,
) -> Result<Copied, Errno> {
    let first = transfer.copy(route, start, distance(start, stop));
    let (bytes, errno) = match first {
        Ok(Copied {
            bytes,
            stopped: Some(errno),
        }) => (bytes, errno),
        Err(errno) => (0, errno),
        Ok(whole) => return Ok(whole),
    };
    let Some(fallback) = classifier.fallback(route, errno) else {
        return first;
    };
    let failed = advance(start, bytes);
    let page_end = (failed & !(PAGE_SIZE - 1)).saturating_add(PAGE_SIZE);
    let second = transfer
        .copy(fallback, failed, distance(failed, page_end.min(stop)))
        .unwrap_or_else(self::failed);
    Ok(Copied {
        bytes: bytes.saturating_add(second.bytes),
        stopped: second.stopped,
    })
}

const fn failed(errno: Errno) -> Copied {
    Copied {
        bytes: 0,
        stopped: Some(errno),
    }
}

fn end_of(start: u64, len: usize) -> u64 {
    start.saturating_add(u64::try_from(len).unwrap_or(u64::MAX))
}

fn batch_end(start: u64) -> u64 {
    (start & !(BATCH_BYTES - 1)).saturating_add(BATCH_BYTES)
}

fn advance(start: u64, bytes: usize) -> u64 {
    end_of(start, bytes)
}

/// Bytes from `start` to `end`. Never more than the caller's `len`, so it fits.
fn distance(start: u64, end: u64) -> usize {
    usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX)
}

/// How many pages `start..end` touches.
fn pages(start: u64, end: u64) -> u64 {
    if start >= end {
        return 0;
    }
    (end - 1) / PAGE_SIZE - start / PAGE_SIZE + 1
}

fn short(start: u64, next: u64, errno: Errno) -> Result<usize, Errno> {
    if next > start {
        Ok(distance(start, next))
    } else {
        Err(errno)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FakeBuffer, FakeKernel, FakeStatuses};
    use super::*;

    fn read_with(
        kernel: &FakeKernel,
        access: Access,
        start: u64,
        len: usize,
    ) -> (Result<usize, Errno>, FakeBuffer) {
        let mut buffer = FakeBuffer::new(kernel);
        let result = read(kernel, &mut buffer, access, start, len);
        (result, buffer)
    }

    fn read_fake(
        kernel: &FakeKernel,
        start: u64,
        len: usize,
    ) -> (Result<usize, Errno>, FakeBuffer) {
        read_with(kernel, Access::default(), start, len)
    }

    #[test]
    fn a_long_read_makes_one_copy_per_batch_and_never_touches_a_refused_page() {
        let kernel = FakeKernel::pc();
        let (result, buffer) = read_fake(&kernel, 0x10_0800, 64 << 20);
        assert_eq!(result, Ok(0x10_0800), "up to the poisoned page at 0x201000");
        assert_eq!(
            buffer.copies(),
            [(0x10_0800, 0xf_f800), (0x20_0000, 0x1000)]
        );
    }

    #[test]
    fn a_read_fails_if_its_first_byte_cannot_be_read() {
        let kernel = FakeKernel::pc();
        for (at, errno) in [
            (0x20_1000, Errno::EHWPOISON),
            (0x20_1fff, Errno::EHWPOISON),
            (0x20_2010, Errno::ENODATA),
            (0xb_8000, Errno::EACCES),
            (0xff00_0000, Errno::EACCES),
        ] {
            let (result, buffer) = read_fake(&kernel, at, 8192);
            assert_eq!(result, Err(errno), "{at:#x}");
            assert!(buffer.copies().is_empty());
        }
    }

    #[test]
    fn a_read_ends_at_the_processors_last_address() {
        let kernel = FakeKernel::pc();
        assert_eq!(read_fake(&kernel, 1 << 40, 4096).0, Ok(0));
        assert_eq!(read_fake(&kernel, u64::MAX, usize::MAX).0, Ok(0));
        assert_eq!(read_fake(&kernel, (1 << 40) - 1, 1).0, Err(Errno::EACCES));
        assert_eq!(read_fake(&kernel, 0x1000, 0).0, Ok(0));
    }

    #[test]
    fn reserved_pages_are_copied_one_at_a_time() {
        let kernel = FakeKernel::pc();
        let (result, buffer) = read_fake(&kernel, 0xf_0ffe, 0x1004);
        assert_eq!(result, Ok(0x1004));
        assert_eq!(
            buffer.copies(),
            [(0xf_0ffe, 2), (0xf_1000, 0x1000), (0xf_2000, 2)]
        );
    }

    #[test]
    fn a_refused_mapping_and_a_faulting_page_end_the_read() {
        let mut kernel = FakeKernel::pc();
        kernel.refuse_mapping(0xf_2000);
        assert_eq!(read_fake(&kernel, 0xf_1000, 0x4000).0, Ok(0x1000));
        assert_eq!(read_fake(&kernel, 0xf_2000, 0x4000).0, Err(Errno::EACCES));
        kernel.fault_at(0x12_3456);
        assert_eq!(read_fake(&kernel, 0x12_0000, 0x8000).0, Ok(0x3456));
        assert_eq!(read_fake(&kernel, 0x12_3456, 1).0, Err(Errno::EIO));
    }

    #[test]
    fn a_requested_page_is_read_by_the_fallback_where_its_route_fails() {
        let mut kernel = FakeKernel::pc();
        kernel.refuse_mapping(0xf_2000);
        kernel.fault_at(0x12_3000);
        let access = Access {
            device: true,
            unmapped: true,
            ..Access::default()
        };
        let (result, buffer) = read_with(&kernel, access, 0xf_2000, 0x2000);
        assert_eq!(result, Ok(0x2000));
        assert_eq!(
            buffer.routes(),
            [Route::Device { cached: false }, Route::Firmware]
        );
        let (result, buffer) = read_with(&kernel, access, 0x12_2000, 0x3000);
        assert_eq!(result, Ok(0x3000));
        assert_eq!(
            buffer.copies(),
            [
                (0x12_2000, 0x1000),
                (0x12_3000, 0x1000),
                (0x12_4000, 0x1000)
            ]
        );
        assert_eq!(buffer.routes().get(1), Some(&Route::Alias));
    }

    #[test]
    fn a_signal_ends_the_read_after_one_batch() {
        let mut kernel = FakeKernel::pc();
        kernel.signal();
        assert_eq!(
            read_fake(&kernel, 0x1000_0000, 64 << 20).0,
            Ok(2 << 20),
            "a batch"
        );
    }

    #[test]
    fn every_page_has_its_status_and_every_byte_its_place() {
        let mut kernel = FakeKernel::pc();
        kernel.fault_at(0x20_5010);
        let mut buffer = FakeBuffer::new(&kernel);
        let mut statuses = FakeStatuses::default();
        let len = 0x7000 - 0x800;
        let result = read_pages(
            &kernel,
            &mut buffer,
            &mut statuses,
            Access::default(),
            0x20_0800,
            len,
        );
        assert_eq!(result, Ok(len));
        assert_eq!(statuses.list(), [0, 133, 61, 61, 61, 5, 0]);
        assert_eq!(
            buffer.copies(),
            [(0x20_0800, 0x800), (0x20_5000, 0x10), (0x20_6000, 0x1000)]
        );
        assert_eq!(buffer.zeroed(), 0x4000 + 0xff0);
    }

    #[test]
    fn pages_beyond_the_last_address_are_refused() {
        let kernel = FakeKernel::pc();
        let mut buffer = FakeBuffer::new(&kernel);
        let mut statuses = FakeStatuses::default();
        let start = (1 << 40) - 4096;
        let result = read_pages(
            &kernel,
            &mut buffer,
            &mut statuses,
            Access::default(),
            start,
            8192,
        );
        assert_eq!(result, Ok(8192));
        assert_eq!(statuses.list(), [13, 6]);
    }

    #[test]
    fn only_whole_pages_count_in_a_buffer_that_ends_early() {
        let kernel = FakeKernel::pc();
        let mut buffer = FakeBuffer::new(&kernel);
        buffer.end_after(0x2800);
        let mut statuses = FakeStatuses::default();
        let result = read_pages(
            &kernel,
            &mut buffer,
            &mut statuses,
            Access::default(),
            0x10_0000,
            0x8000,
        );
        assert_eq!(result, Ok(0x2000));
        assert_eq!(statuses.list(), [0, 0]);
    }
}
