// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one file with unsafe code: the ioctls.

#![allow(unsafe_code)]

use linpmem_core::abi;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use rustix::{fd::AsFd, io};
use std::ffi::c_void;

/// Asks the module for its INFO struct.
pub(crate) fn info(device: impl AsFd) -> io::Result<abi::Info> {
    let info = abi::Info {
        size: u32::try_from(size_of::<abi::Info>()).map_err(|_| io::Errno::OVERFLOW)?,
        ..abi::Info::default()
    };
    // SAFETY: `InfoRequest` describes the ioctl of that number truly.
    unsafe { rustix::ioctl::ioctl(device, InfoRequest(info)) }
}

struct InfoRequest(abi::Info);

// SAFETY: The module reads the struct's first four bytes and writes at most as
// many bytes as these say, which is the size of the struct. All its fields are
// integers, so any bytes are valid. A file that is not linpmem's answers ENOTTY
// to this number.
unsafe impl Ioctl for InfoRequest {
    type Output = abi::Info;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        abi::IOCTL_INFO
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, info: *mut c_void) -> io::Result<abi::Info> {
        // SAFETY: The pointer is the one from `as_ptr`, to a whole `Info`.
        Ok(unsafe { info.cast::<abi::Info>().read() })
    }
}
