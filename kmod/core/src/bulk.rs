// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Reads of any length.

use super::access::Access;
use super::kernel::{Kernel, Statuses, Transfer, PAGE_SIZE};
use super::run::{advance, distance, Runs};
use super::Errno;

/// How often the caller's buffer may vanish in a row before the read gives up.
const PATIENCE: u32 = 1000;

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
    let mut runs = Runs::new(kernel, transfer, access);
    let end = advance(start, len).min(runs.limit());
    let mut next = start;
    let mut stuck = 0;
    while next < end {
        let run = runs.next(next, end);
        next = advance(next, run.copied.bytes);
        if run.lacks_buffer() {
            let present = runs.make_buffer_present(next, end);
            let has_moved = run.copied.bytes > 0;
            if let Err(errno) = present.and_then(|()| again(kernel, has_moved, &mut stuck)) {
                return short(start, next, errno);
            }
            continue;
        }
        if let Some(errno) = run.copied.stopped {
            return short(start, next, errno);
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
/// `EFAULT` if the first byte cannot be written to the caller's memory; `EINTR` at a
/// signal, if the caller's memory keeps vanishing.
pub fn read_pages<K: Kernel, T: Transfer, S: Statuses>(
    kernel: &K,
    transfer: &mut T,
    statuses: &mut S,
    access: Access,
    start: u64,
    len: usize,
) -> Result<usize, Errno> {
    let mut runs = Runs::new(kernel, transfer, access);
    let end = advance(start, len);
    let mut next = start;
    let mut stuck = 0;
    while next < end {
        let run = runs.next(next, end);
        let good = advance(next, run.copied.bytes);
        let Some(errno) = run.copied.stopped else {
            statuses.append(pages(next, good), 0)?;
            next = good;
            if kernel.yield_now() {
                break;
            }
            continue;
        };
        if errno == Errno::EFAULT {
            // Count whole pages only: no status would be true of one copied in part.
            let whole = (good & !(PAGE_SIZE - 1)).max(next);
            statuses.append(pages(next, whole), 0)?;
            let has_moved = whole > next;
            next = whole;
            if !run.lacks_buffer() {
                return short(start, next, errno);
            }
            let present = runs.make_buffer_present(good, end);
            runs.transfer().take_back(distance(next, good));
            if let Err(errno) = present.and_then(|()| again(kernel, has_moved, &mut stuck)) {
                return short(start, next, errno);
            }
            continue;
        }
        // Either one page faulted, or no page of the run may be read.
        let bad_page = good & !(PAGE_SIZE - 1);
        let bad_end = match run.route {
            Ok(_) => bad_page.saturating_add(PAGE_SIZE).min(run.stop),
            Err(_) => run.stop,
        };
        let zeroed = runs.transfer().zero(distance(good, bad_end));
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

/// Whether to try again after the caller's buffer was made present. It can vanish again
/// before the next copy. If it always does, that ends with a signal or some time later.
fn again<K: Kernel>(kernel: &K, has_moved: bool, stuck: &mut u32) -> Result<(), Errno> {
    *stuck = if has_moved { 0 } else { *stuck + 1 };
    match *stuck {
        0 | 1 => Ok(()),
        PATIENCE.. => Err(Errno::EFAULT),
        _ if kernel.yield_now() => Err(Errno::EINTR),
        _ => Ok(()),
    }
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
    extern crate std;

    use super::super::classify::Route;
    use super::super::testing::{FakeBuffer, FakeKernel, FakeStatuses};
    use super::*;
    use std::vec;

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

    /// What [`read_pages`] returns, and the status of each page.
    fn read_listed(
        kernel: &FakeKernel,
        buffer: &mut FakeBuffer,
        access: Access,
        start: u64,
        len: usize,
    ) -> (Result<usize, Errno>, FakeStatuses) {
        let mut statuses = FakeStatuses::default();
        let result = read_pages(kernel, buffer, &mut statuses, access, start, len);
        (result, statuses)
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
    fn a_run_of_reserved_pages_is_mapped_at_once() {
        let kernel = FakeKernel::pc();
        let (result, buffer) = read_fake(&kernel, 0xf_0ffe, 0x1004);
        assert_eq!(result, Ok(0x1004));
        assert_eq!(buffer.copies(), [(0xf_0ffe, 0x1004)]);
    }

    #[test]
    fn a_page_that_cannot_be_mapped_costs_its_neighbours_nothing() {
        let mut kernel = FakeKernel::pc();
        kernel.refuse_mapping(0xf_2000);
        let mut buffer = FakeBuffer::new(&kernel);
        let access = Access::default();
        let (result, statuses) = read_listed(&kernel, &mut buffer, access, 0xf_0800, 0x4000);
        assert_eq!(result, Ok(0x4000));
        assert_eq!(statuses.list(), [0, 0, 13, 0, 0]);
        assert_eq!(
            buffer.copies(),
            [
                (0xf_0800, 0x800),
                (0xf_1000, 0x1000),
                (0xf_3000, 0x1000),
                (0xf_4000, 0x800)
            ]
        );
        assert_eq!(buffer.attempts(), 6, "the run, then each page");
    }

    /// The kernel logs each mapping of a device that it refuses.
    #[test]
    fn refused_devices_are_tried_once_in_a_batch() {
        let mut kernel = FakeKernel::pc();
        kernel.refuse_devices();
        let mut buffer = FakeBuffer::new(&kernel);
        let access = Access {
            device: true,
            ..Access::default()
        };
        let (start, len) = (0x8000_0000, 6 << 20);
        let (result, statuses) = read_listed(&kernel, &mut buffer, access, start, len);
        assert_eq!(result, Ok(len));
        assert!(statuses.list().iter().all(|status| *status == 13));
        assert_eq!(buffer.attempts(), 3);
    }

    /// Memory that goes offline, or is taken back by the hypervisor, between the decision
    /// to read it and the end of the copy.
    #[test]
    fn memory_that_vanishes_during_the_copy_was_not_read() {
        let mut kernel = FakeKernel::pc();
        kernel.lose_after_first_look(0x12_3000);
        let mut buffer = FakeBuffer::new(&kernel);
        let access = Access::default();
        let (result, statuses) = read_listed(&kernel, &mut buffer, access, 0x12_1800, 0x3000);
        assert_eq!(result, Ok(0x3000));
        assert_eq!(statuses.list(), [0, 0, 61, 0]);
        assert_eq!(buffer.copies(), [(0x12_1800, 0x1800), (0x12_4000, 0x800)]);
        assert_eq!(buffer.zeroed(), 0x1000);

        let mut kernel = FakeKernel::pc();
        kernel.lose_after_first_look(0x12_3000);
        let (result, buffer) = read_fake(&kernel, 0x12_1800, 0x3000);
        assert_eq!(result, Ok(0x1800));
        assert_eq!(buffer.copies(), [(0x12_1800, 0x1800)]);
    }

    /// The fakes check in each call whether it may be made while memory is held.
    #[test]
    fn an_absent_buffer_is_waited_for_without_holding_memory() {
        let kernel = FakeKernel::pc();
        for start in [0x10_0000, 0x10_0800] {
            let mut buffer = FakeBuffer::new(&kernel);
            buffer.make_absent();
            let access = Access::default();
            let (result, statuses) = read_listed(&kernel, &mut buffer, access, start, 0x8000);
            assert_eq!(result, Ok(0x8000), "{start:#x}");
            let pages = if start == 0x10_0000 { 8 } else { 9 };
            assert_eq!(statuses.list(), vec![0; pages]);
            let copied: usize = buffer.copies().iter().map(|copy| copy.1).sum();
            assert_eq!(copied, 0x8000);
            assert!(buffer.waits() > 0);

            let mut buffer = FakeBuffer::new(&kernel);
            buffer.make_absent();
            assert_eq!(
                read(&kernel, &mut buffer, access, start, 0x8000),
                Ok(0x8000)
            );
        }
    }

    /// A register can change when it is loaded: it is loaded once, even if what was loaded
    /// cannot be delivered.
    #[test]
    fn a_device_is_not_read_again_for_a_buffer_that_was_absent() {
        let mut kernel = FakeKernel::pc();
        kernel.refuse_mapping(0xf_2000);
        let access = Access {
            device: true,
            ..Access::default()
        };
        // A hole, and registers that the firmware calls reserved.
        for (start, attempts) in [(0x8000_0000, 1), (0xf_2000, 2)] {
            let mut buffer = FakeBuffer::new(&kernel);
            buffer.make_absent();
            let (result, _) = read_listed(&kernel, &mut buffer, access, start, 0x1000);
            assert_eq!(result, Err(Errno::EFAULT), "{start:#x}");
            assert_eq!((buffer.waits(), buffer.attempts()), (0, attempts));
            let mut buffer = FakeBuffer::new(&kernel);
            buffer.make_absent();
            let result = read(&kernel, &mut buffer, access, start, 0x1000);
            assert_eq!(result, Err(Errno::EFAULT), "{start:#x}");
            assert_eq!((buffer.waits(), buffer.attempts()), (0, attempts));
        }
    }

    #[test]
    fn a_buffer_that_keeps_vanishing_ends_the_read() {
        let mut kernel = FakeKernel::pc();
        let access = Access::default();
        let mut buffer = FakeBuffer::new(&kernel);
        buffer.keep_absent();
        let result = read(&kernel, &mut buffer, access, 0x10_0000, 0x8000);
        assert_eq!(result, Err(Errno::EFAULT));
        assert_eq!(buffer.waits(), 1000);
        kernel.signal();
        let mut buffer = FakeBuffer::new(&kernel);
        buffer.keep_absent();
        let (result, _) = read_listed(&kernel, &mut buffer, access, 0x10_0000, 0x8000);
        assert_eq!(result, Err(Errno::EINTR));
        assert_eq!(buffer.waits(), 2);
        let mut buffer = FakeBuffer::new(&kernel);
        buffer.keep_absent();
        let result = read(&kernel, &mut buffer, access, 0x10_0000, 0x8000);
        assert_eq!(result, Err(Errno::EINTR));
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
    fn what_only_the_kernels_image_maps_is_read_there_without_being_asked_for() {
        let mut kernel = FakeKernel::arm64();
        kernel.map_by_image_only(0x30_1000);
        let (result, buffer) = read_fake(&kernel, 0x30_0000, 0x3000);
        assert_eq!(result, Ok(0x3000));
        assert_eq!(
            buffer.copies(),
            [
                (0x30_0000, 0x1000),
                (0x30_1000, 0x1000),
                (0x30_2000, 0x1000)
            ]
        );
        assert_eq!(buffer.routes().get(1), Some(&Route::Image));

        // A page that nothing maps still fails, and its neighbours do not.
        let mut kernel = FakeKernel::arm64();
        kernel.fault_at(0x30_1000);
        let mut buffer = FakeBuffer::new(&kernel);
        let (result, statuses) =
            read_listed(&kernel, &mut buffer, Access::default(), 0x30_0000, 0x3000);
        assert_eq!((result, statuses.list()), (Ok(0x3000), &[0, 5, 0][..]));
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
        let len = 0x7000 - 0x800;
        let (result, statuses) =
            read_listed(&kernel, &mut buffer, Access::default(), 0x20_0800, len);
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
        let start = (1 << 40) - 4096;
        let (result, statuses) = read_listed(&kernel, &mut buffer, Access::default(), start, 8192);
        assert_eq!(result, Ok(8192));
        assert_eq!(statuses.list(), [13, 6]);
    }

    #[test]
    fn only_whole_pages_count_in_a_buffer_that_ends_early() {
        let kernel = FakeKernel::pc();
        let mut buffer = FakeBuffer::new(&kernel);
        buffer.end_after(0x2800);
        let (result, statuses) =
            read_listed(&kernel, &mut buffer, Access::default(), 0x10_0000, 0x8000);
        assert_eq!(result, Ok(0x2000));
        assert_eq!(statuses.list(), [0, 0]);
    }
}
