// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one file with unsafe code: the ioctls.

#![allow(unsafe_code)]

use linpmem_core::{abi, original};
use rustix::fd::BorrowedFd;
use rustix::io;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use std::ffi::c_void;
use std::marker::PhantomData;

/// A struct of the module's ABI whose ioctl holds no pointer.
///
/// # Safety
/// `NUMBER` must be the ioctl that reads and writes at most the bytes of this
/// struct; every field must be an integer, and none of those that the caller
/// sets an address in this process.
pub(crate) unsafe trait Request: Copy + Default {
    /// The ioctl's number.
    const NUMBER: Opcode;

    /// Says in the struct how large it is, if it has a field for that.
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

/// Sends `request` to the module and returns it as the module answered it.
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

/// Reads from physical address `addr` on into `buffer`, with a status for each
/// page that is touched; returns how many bytes of `buffer` are filled. Where
/// `statuses` is too short for all pages, less is read.
pub(crate) fn read_pages(
    device: BorrowedFd<'_>,
    access: u32,
    addr: u64,
    buffer: &mut [u8],
    statuses: &mut [u8],
) -> io::Result<usize> {
    let offset = usize::try_from(addr % 4096).map_err(|_| io::Errno::OVERFLOW)?;
    let described = statuses.len().saturating_mul(4096).saturating_sub(offset);
    let len = buffer.len().min(described);
    let argument = abi::Read {
        size: size_of::<abi::Read>()
            .try_into()
            .map_err(|_| io::Errno::OVERFLOW)?,
        access,
        addr,
        len: len.try_into().map_err(|_| io::Errno::OVERFLOW)?,
        buffer: pointer(buffer)?,
        statuses: pointer(statuses)?,
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
    let done = usize::try_from(answer.done).map_err(|_| io::Errno::OVERFLOW)?;
    Ok(done.min(len))
}

/// One load of `width` bytes from physical address `addr`, as the original does it.
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
    // SAFETY: The access type is no buffer, so that the module follows no pointer.
    let answer = unsafe { rustix::ioctl::ioctl(device, call) }?;
    Ok(answer.out_value)
}

/// Reads from physical address `addr` on into `buffer`, as the original does it:
/// to the end of the page at most. Returns how many bytes are filled.
pub(crate) fn original_read(
    device: BorrowedFd<'_>,
    addr: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let len = buffer.len().min(4096);
    let argument = original::DataTransfer {
        phys_address: addr,
        readbuffer: pointer(buffer)?,
        readbuffer_size: len.try_into().map_err(|_| io::Errno::OVERFLOW)?,
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
    let done = usize::try_from(answer.readbuffer_size).map_err(|_| io::Errno::OVERFLOW)?;
    Ok(done.min(len))
}

fn pointer(bytes: &mut [u8]) -> io::Result<u64> {
    let address = bytes.as_mut_ptr().expose_provenance();
    u64::try_from(address).map_err(|_| io::Errno::OVERFLOW)
}

/// One ioctl with a struct of type `T`, which may point to memory borrowed for `B`.
struct Call<T, B = ()> {
    number: Opcode,
    argument: T,
    borrowed: PhantomData<B>,
}

// SAFETY: The pointer is that of a whole `T`, which the kernel may read and
// write; `T` is made of integers, so any bytes that come back are a value.
// Whether the number fits the struct is the promise of whoever makes the call.
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
