// SPDX-License-Identifier: GPL-2.0-only
//! What the core's ioctls need of the module: the caller's memory, and the parameters.

use crate::linpmem_core::ioctl::Shell;
use crate::linpmem_core::{abi, Errno};
use crate::running::{self, RunningKernel};
use crate::transfer::UserBuffer;
use crate::{parameters, shim};
use kernel::{
    bindings,
    error::to_result,
    iov::IovIterDest,
    types::Opaque,
    uaccess::{UserPtr, UserSlice},
};

impl Shell for RunningKernel {
    type Buffer<'b> = UserBuffer<'b, 'b>;

    fn read_user(&self, addr: u64, out: &mut [u8]) -> Result<(), Errno> {
        UserSlice::new(UserPtr::from_addr(addr as usize), out.len())
            .reader()
            .read_slice(out)
            .map_err(|_| Errno::EFAULT)
    }

    fn write_user(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        UserSlice::new(UserPtr::from_addr(addr as usize), bytes.len())
            .writer()
            .write_slice(bytes)
            .map_err(|_| Errno::EFAULT)
    }

    fn with_buffer(
        &self,
        addr: u64,
        len: u64,
        fill: impl FnOnce(&mut Self::Buffer<'_>, usize) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let iter = Opaque::<bindings::iov_iter>::uninit();
        // SAFETY: The shim initialises the iterator if it returns 0.
        to_result(unsafe { shim::linpmem_user_buffer(iter.get(), addr, len) })
            .map_err(|_| Errno::EFAULT)?;
        // SAFETY: The iterator is initialised for writing to the caller's memory, and
        // lives until the end of this function.
        let iov = unsafe { IovIterDest::from_raw(iter.get()) };
        // The kernel may have shortened it to the longest transfer of one system call.
        let len = iov.len();
        let mut buffer = UserBuffer::new(iov).ok_or(Errno::EINVAL)?;
        fill(&mut buffer, len)
    }

    fn info(&self) -> Result<abi::Info, Errno> {
        running::info(parameters::device_allowed())
    }

    fn device_allowed(&self) -> bool {
        parameters::device_allowed()
    }

    fn direct_map_base(&self) -> u64 {
        // SAFETY: Computes an address and reads nothing.
        unsafe { shim::linpmem_direct_map(0) as u64 }
    }
}
