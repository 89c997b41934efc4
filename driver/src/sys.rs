// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ioctls: the only file with unsafe code.

#![allow(unsafe_code)]

use linpmem_core::{abi, original};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use rustix::fd::BorrowedFd;
use rustix::io;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use std::ffi::c_void;
use std::marker::PhantomData;

/// A struct of the module's ABI whose ioctl holds no pointer.
///
/// # Safety
/// `NUMBER` must be the ioctl that reads and writes at most the bytes of this struct;
/// every field must be an integer, and no field that the caller sets may be an address
/// in this process.
pub(crate) unsafe trait Request: Copy + Default {
    /// The ioctl's number.
    const NUMBER: Opcode;

    /// Stores the struct's size in it, if it has a field for that.
    fn set_size(&mut self, size: u32);
}

macro_rules! requests {
    ($($name:ident = $number:ident),+ $(,)?) => {$(
        // SAFETY: linpmem_core::abi describes the struct and its number, and
        // none of its fields is a pointer.
        unsafe impl Request for abi::$name {
            const NUMBER: Opcode = abi::$number;

            fn set_size(&mut self, size: u32) {
                self.size = size;
            }
        }
    )+};
}
requests!(
    Info = IOCTL_INFO,
    SetAccess = IOCTL_SET_ACCESS,
    Load = IOCTL_LOAD,
    Translate = IOCTL_TRANSLATE,
    PageTable = IOCTL_PAGE_TABLE,
);

macro_rules! original_requests {
    ($($name:ident = $number:ident),+ $(,)?) => {$(
        // SAFETY: linpmem_core::original describes the struct and its number,
        // and no field is an address in this process: `ppte` is the kernel's.
        unsafe impl Request for original::$name {
            const NUMBER: Opcode = original::$number;

            fn set_size(&mut self, _: u32) {}
        }
    )+};
}
original_requests!(VtopInfo = IOCTL_VTOP, Cr3Info = IOCTL_QUERY_CR3);

/// Sends `request` to the module and returns it with the module's answer.
pub(crate) fn ask<R: Request>(device: BorrowedFd<'_>, mut request: R) -> io::Result<R> {
    request.set_size(size_of::<R>().try_into().map_err(|_| io::Errno::OVERFLOW)?);
    let call = Call {
        number: R::NUMBER,
        argument: request,
        borrowed: PhantomData::<()>,
    };
    // SAFETY: As `Request` promises.
    unsafe { rustix::ioctl::ioctl(device, call) }
}

/// Reads from physical address `addr` on into `buffer`, with a status for each page
/// that is touched; returns how many bytes of `buffer` are filled. If `statuses` is too
/// short for all pages, fewer bytes are read.
pub(crate) fn read_pages(
    device: BorrowedFd<'_>,
    access: u32,
    addr: u64,
    buffer: &mut [u8],
    statuses: &mut [u8],
) -> io::Result<usize> {
    // No bytes if there is no status: then nothing may be written.
    let described = (usize_as_u64(statuses.len()) * 4096).saturating_sub(addr % 4096);
    let len = buffer.len().min(u64_as_usize(described));
    let argument = abi::Read {
        size: size_of::<abi::Read>()
            .try_into()
            .map_err(|_| io::Errno::OVERFLOW)?,
        access,
        addr,
        len: usize_as_u64(len),
        buffer: pointer(buffer),
        statuses: pointer(statuses),
        done: 0,
    };
    let call = Call {
        number: abi::IOCTL_READ,
        argument,
        borrowed: PhantomData::<&mut [u8]>,
    };
    // SAFETY: The module writes at most `len` bytes to `buffer` and a byte for
    // each page that `len` bytes touch to `statuses`, which has as many; both
    // are borrowed until the call returns.
    let answer = unsafe { rustix::ioctl::ioctl(device, call) }?;
    Ok(u64_as_usize(answer.done).min(len))
}

/// One load of `width` bytes from physical address `addr` by the original's request.
pub(crate) fn original_load(device: BorrowedFd<'_>, addr: u64, width: u8) -> io::Result<u64> {
    if width > 8 {
        return Err(io::Errno::INVAL);
    }
    let argument = original::DataTransfer {
        phys_address: addr,
        access_type: width,
        ..original::DataTransfer::default()
    };
    let call = Call {
        number: original::IOCTL_READ_PHYSADDR,
        argument,
        borrowed: PhantomData::<()>,
    };
    // SAFETY: The access type is not the buffer one, so that the module follows no pointer.
    let answer = unsafe { rustix::ioctl::ioctl(device, call) }?;
    Ok(answer.out_value)
}

/// Reads from physical address `addr` on into `buffer` by the original's request: to
/// the end of the page at most. Returns how many bytes are filled.
pub(crate) fn original_read(
    device: BorrowedFd<'_>,
    addr: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let len = buffer.len().min(4096);
    let argument = original::DataTransfer {
        phys_address: addr,
        readbuffer: pointer(buffer),
        readbuffer_size: usize_as_u64(len),
        access_type: original::ACCESS_BUFFER,
        ..original::DataTransfer::default()
    };
    let call = Call {
        number: original::IOCTL_READ_PHYSADDR,
        argument,
        borrowed: PhantomData::<&mut [u8]>,
    };
    // SAFETY: The module writes at most `len` bytes to `buffer`, which is
    // borrowed until the call returns.
    let answer = unsafe { rustix::ioctl::ioctl(device, call) }?;
    Ok(u64_as_usize(answer.readbuffer_size).min(len))
}

fn pointer(bytes: &mut [u8]) -> u64 {
    usize_as_u64(bytes.as_mut_ptr().expose_provenance())
}

/// One ioctl with a struct of type `T`, which may point to memory borrowed for `B`.
struct Call<T, B = ()> {
    number: Opcode,
    argument: T,
    borrowed: PhantomData<B>,
}

// SAFETY: The pointer is that of a whole `T`, which the kernel may read and
// write; `T` is made of integers, so that any bytes that come back are a value. That
// the number fits the struct is the promise of whoever constructs the call.
unsafe impl<T: Copy, B> Ioctl for Call<T, B> {
    type Output = T;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.number
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.argument).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, argument: *mut c_void) -> io::Result<T> {
        // SAFETY: The pointer is the one from `as_ptr`.
        Ok(unsafe { argument.cast::<T>().read() })
    }
}
