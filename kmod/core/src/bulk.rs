// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Reading any stretch of physical memory: what read(2) and pread(2) do.

use super::classify::{Classifier, Route};
use super::kernel::{Copied, Kernel, Transfer, PAGE_SIZE};
use super::Errno;

/// Bytes between two looks at the clock and at signals, and the most that one
/// copy takes from the direct map.
const BATCH_BYTES: u64 = 2 << 20;

/// Reads up to `len` bytes at physical address `start`.
///
/// Stops short before the first page that cannot be read, at a signal, and
/// where the caller's buffer ends; 0 is the end of the address space. A reader
/// that wants the rest asks again from there: the error comes then.
///
/// # Errors
/// The reason why not even the first byte could be read.
pub fn read<K: Kernel, T: Transfer>(
    kernel: &K,
    transfer: &mut T,
    start: u64,
    len: usize,
) -> Result<usize, Errno> {
    let mut classifier = Classifier::new(kernel);
    let limit = classifier.limit();
    let wanted = u64::try_from(len).unwrap_or(u64::MAX);
    let end = start.saturating_add(wanted).min(limit);

    let mut next = start;
    let mut arrived: usize = 0;
    while next < end {
        let (copied, stretch) = match run(&mut classifier, next, end.min(batch_end(next))) {
            Ok((Route::DirectMap, stretch)) => {
                (transfer.copy_direct_map(next, length(stretch)), stretch)
            }
            Ok((Route::Mapping, stretch)) => match transfer.copy_mapping(next, length(stretch)) {
                Ok(copied) => (copied, stretch),
                Err(errno) => return short(arrived, errno),
            },
            Err(errno) => return short(arrived, errno),
        };
        let Copied { bytes, stopped } = copied;
        arrived = arrived.saturating_add(bytes);
        next = next.saturating_add(u64::try_from(bytes).unwrap_or(stretch));
        if let Some(errno) = stopped {
            return short(arrived, errno);
        }
        // At least one batch arrives between two signals, so that a process
        // under a fast timer still comes forward.
        if kernel.yield_now() {
            break;
        }
    }
    Ok(arrived)
}

/// The first bytes from `start` on, up to `end`, that are read in one way:
/// as many good pages of the direct map as there are, or one page by mapping.
fn run<K: Kernel>(
    classifier: &mut Classifier<'_, K>,
    start: u64,
    end: u64,
) -> Result<(Route, u64), Errno> {
    let first = start & !(PAGE_SIZE - 1);
    let route = classifier.route(first)?;
    let mut stop = first.saturating_add(PAGE_SIZE);
    while route == Route::DirectMap && stop < end && classifier.route(stop) == Ok(Route::DirectMap)
    {
        stop = stop.saturating_add(PAGE_SIZE);
    }
    Ok((route, stop.min(end).saturating_sub(start)))
}

fn batch_end(start: u64) -> u64 {
    (start & !(BATCH_BYTES - 1)).saturating_add(BATCH_BYTES)
}

/// At most a batch, so it fits.
fn length(stretch: u64) -> usize {
    usize::try_from(stretch).unwrap_or(0)
}

fn short(arrived: usize, errno: Errno) -> Result<usize, Errno> {
    if arrived > 0 {
        Ok(arrived)
    } else {
        Err(errno)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FakeBuffer, FakeKernel};
    use super::*;

    fn read_fake(
        kernel: &FakeKernel,
        start: u64,
        len: usize,
    ) -> (Result<usize, Errno>, FakeBuffer) {
        let mut buffer = FakeBuffer::new(kernel);
        let result = read(kernel, &mut buffer, start, len);
        (result, buffer)
    }

    #[test]
    fn a_long_read_is_one_copy_a_batch_and_never_touches_a_refused_page() {
        let kernel = FakeKernel::pc();
        let (result, buffer) = read_fake(&kernel, 0x10_0800, 64 << 20);
        assert_eq!(result, Ok(0x10_0800), "up to the poisoned page at 0x201000");
        assert_eq!(
            buffer.copies(),
            [(0x10_0800, 0xf_f800), (0x20_0000, 0x1000)]
        );
        assert!(buffer.is_exact());
    }

    #[test]
    fn the_error_comes_when_nothing_could_be_read() {
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
    fn addresses_end_where_the_processor_ends_them() {
        let kernel = FakeKernel::pc();
        assert_eq!(read_fake(&kernel, 1 << 40, 4096).0, Ok(0));
        assert_eq!(read_fake(&kernel, u64::MAX, usize::MAX).0, Ok(0));
        assert_eq!(read_fake(&kernel, (1 << 40) - 1, 1).0, Err(Errno::EACCES));
        assert_eq!(read_fake(&kernel, 0x1000, 0).0, Ok(0));
    }

    #[test]
    fn reserved_pages_come_one_at_a_time() {
        let kernel = FakeKernel::pc();
        let (result, buffer) = read_fake(&kernel, 0xf_0ffe, 0x1004);
        assert_eq!(result, Ok(0x1004));
        assert_eq!(
            buffer.copies(),
            [(0xf_0ffe, 2), (0xf_1000, 0x1000), (0xf_2000, 2)]
        );
        assert!(buffer.is_exact());
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
    fn a_signal_ends_the_read_after_one_batch() {
        let mut kernel = FakeKernel::pc();
        kernel.signal();
        assert_eq!(
            read_fake(&kernel, 0x1000_0000, 64 << 20).0,
            Ok(2 << 20),
            "a batch"
        );
    }
}
