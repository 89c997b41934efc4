// SPDX-License-Identifier: GPL-2.0-only
//! Copies to the caller's memory, from memory that may fault during the copy.

use crate::linpmem_core::classify::Route;
use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::{Copied, Errno, Transfer};
use crate::mapping::Mapping;
use crate::user;
use crate::{copy, device_memory};
use core::marker::PhantomData;

// For the files of ../shell/.
pub(crate) use crate::copy::load;

/// The longest transfer of one system call (MAX_RW_COUNT).
const LONGEST: u64 = 0x7fff_f000;

/// What a page that could not be read is filled with.
static ZEROS: [u8; PAGE_SIZE as usize] = [0; PAGE_SIZE as usize];

/// The caller's buffer.
pub(crate) struct UserBuffer<'i, 'data> {
    next: u64,
    /// The other shell's buffer borrows the kernel's iterator.
    call: PhantomData<(&'i (), &'data ())>,
}

impl UserBuffer<'_, '_> {
    /// The buffer at `addr`, whose length the caller of this function keeps.
    pub(crate) fn new(addr: u64) -> Self {
        Self {
            next: addr,
            call: PhantomData,
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.next = self.next.wrapping_add(bytes as u64);
    }

    /// Copies from a mapping that may fault at any byte, as far as the buffer is present.
    fn copy_memory(&mut self, mapping: &Mapping, len: usize) -> Copied {
        let progress = copy::to_user(self.next, mapping.addr(), len);
        self.advance(progress.bytes);
        let errno = if progress.source_faulted {
            Errno::EIO
        } else {
            Errno::EFAULT
        };
        Copied {
            bytes: progress.bytes,
            stopped: (progress.bytes < len).then_some(errno),
        }
    }

    /// Copies kernel memory, and waits for the caller's. Returns how much it copied.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let done = copy::bytes_to_user(self.next, bytes);
        self.advance(done);
        done
    }
}

impl Transfer for UserBuffer<'_, '_> {
    fn copy(&mut self, route: Route, start: u64, len: usize) -> Result<Copied, Errno> {
        let mapping = Mapping::new(route, start, len)?;
        Ok(match route {
            Route::DirectMap | Route::Image | Route::Alias | Route::Firmware | Route::Rom => {
                self.copy_memory(&mapping, len)
            }
            Route::Device { .. } => {
                device_memory::copy(&mapping, start, len, |bytes| self.put(bytes))
            }
        })
    }

    fn make_present(&mut self, len: usize) -> Result<(), Errno> {
        let mut at = self.next;
        let end = self.next.saturating_add(len as u64);
        while at < end {
            if !copy::make_present(at) {
                break;
            }
            at = (at | (PAGE_SIZE - 1)).saturating_add(1);
        }
        if at > self.next || len == 0 {
            Ok(())
        } else {
            Err(Errno::EFAULT)
        }
    }

    fn take_back(&mut self, len: usize) {
        self.next = self.next.wrapping_sub(len as u64);
    }

    fn zero(&mut self, len: usize) -> Copied {
        let mut done = 0;
        while done < len {
            let part = ZEROS.get(..(len - done).min(ZEROS.len())).unwrap_or(&ZEROS);
            let bytes = self.put(part);
            done += bytes;
            if bytes < part.len() {
                break;
            }
        }
        Copied {
            bytes: done,
            stopped: (done < len).then_some(Errno::EFAULT),
        }
    }
}

/// Copies from the caller's memory.
pub(crate) fn read_user(addr: u64, out: &mut [u8]) -> Result<(), Errno> {
    if copy::bytes_from_user(out, addr) {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

/// Copies to the caller's memory.
pub(crate) fn write_user(addr: u64, bytes: &[u8]) -> Result<(), Errno> {
    if copy::bytes_to_user(addr, bytes) == bytes.len() {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

/// Runs `fill` on the caller's buffer of `len` bytes at `addr`.
pub(crate) fn with_buffer(
    addr: u64,
    len: u64,
    fill: impl for<'b> FnOnce(&mut UserBuffer<'b, 'b>, usize) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let len = len.min(LONGEST);
    if !user::is_user(addr, len) {
        return Err(Errno::EFAULT);
    }
    fill(&mut UserBuffer::new(addr), len as usize)
}
