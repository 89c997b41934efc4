// SPDX-License-Identifier: GPL-2.0-only
//! What the core's ioctls need of the module: the caller's memory, and the parameters.

use crate::linpmem_core::ioctl::Shell;
use crate::linpmem_core::{abi, Errno};
use crate::running::{self, RunningKernel};
use crate::transfer::{self, UserBuffer};
use crate::{arch, parameters};

impl Shell for RunningKernel {
    type Buffer<'b> = UserBuffer<'b, 'b>;

    fn read_user(&self, addr: u64, out: &mut [u8]) -> Result<(), Errno> {
        transfer::read_user(addr, out)
    }

    fn write_user(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        transfer::write_user(addr, bytes)
    }

    fn with_buffer(
        &self,
        addr: u64,
        len: u64,
        fill: impl FnOnce(&mut Self::Buffer<'_>, usize) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        transfer::with_buffer(addr, len, fill)
    }

    fn info(&self) -> Result<abi::Info, Errno> {
        running::info(self.device_allowed())
    }

    fn device_allowed(&self) -> bool {
        arch::MAPS_DEVICES && parameters::device_allowed()
    }

    fn direct_map_base(&self) -> u64 {
        arch::direct_map_base()
    }
}
