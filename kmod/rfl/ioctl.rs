// SPDX-License-Identifier: GPL-2.0-only
//! The ioctls: read the caller's struct, ask the core, write the answer.

use crate::device::OpenFile;
use crate::linpmem_core::access::Access;
use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::{abi, bulk, original, request, Kernel};
use crate::running::{self, RunningKernel};
use crate::transfer::{UserBuffer, UserStatuses};
use crate::{parameters, shim};
use core::mem::size_of;
use kernel::{
    bindings,
    error::to_result,
    iov::IovIterDest,
    prelude::*,
    transmute::{AsBytes, FromBytes},
    types::Opaque,
    uaccess::{UserPtr, UserSlice},
};

/// The largest struct that any version of this ABI may have, in bytes.
const LARGEST: usize = 4096;

const INFO: u32 = abi::without_size(abi::IOCTL_INFO);
const READ: u32 = abi::without_size(abi::IOCTL_READ);
const SET_ACCESS: u32 = abi::without_size(abi::IOCTL_SET_ACCESS);
const TRANSLATE: u32 = abi::without_size(abi::IOCTL_TRANSLATE);
const PAGE_TABLE: u32 = abi::without_size(abi::IOCTL_PAGE_TABLE);
const LOAD: u32 = abi::without_size(abi::IOCTL_LOAD);

/// Marks structs of the ABIs as plain data, which user space may fill with any bytes.
macro_rules! plain {
    ($($name:ty),+ $(,)?) => {$(
        // SAFETY: The struct consists of integers without padding (its size is
        // asserted where it is defined), so all bytes are initialised and any bytes
        // are a valid value.
        unsafe impl AsBytes for $name {}
        // SAFETY: As above.
        unsafe impl FromBytes for $name {}
    )+};
}
plain!(
    abi::Info,
    abi::Read,
    abi::SetAccess,
    abi::Translate,
    abi::PageTable,
    abi::Load,
    original::DataTransfer,
    original::VtopInfo,
    original::Cr3Info,
);

/// Carries out ioctl `cmd` on the struct at `arg`.
pub(crate) fn answer(file: &OpenFile<'_>, cmd: u32, arg: usize) -> Result {
    match cmd {
        original::IOCTL_READ_PHYSADDR => return read_physaddr(file, arg),
        original::IOCTL_VTOP => return vtop(arg),
        original::IOCTL_QUERY_CR3 => return query_cr3(arg),
        _ => {}
    }
    match abi::without_size(cmd) {
        INFO => {
            let size = caller_size(arg)?;
            write_reply(arg, size, &running::info(parameters::device_allowed())?)
        }
        READ => read(file, arg),
        SET_ACCESS => set_access(file, arg),
        LOAD => load(file, arg),
        TRANSLATE => translate(arg),
        PAGE_TABLE => page_table(arg),
        _ => Err(ENOTTY),
    }
}

fn read(file: &OpenFile<'_>, arg: usize) -> Result {
    let (size, mut asked) = read_request::<abi::Read>(arg)?;
    let access = requested_access(file, asked.access)?;
    let len = asked.len.min(abi::READ_MAX_BYTES);
    let pages = (asked.addr % PAGE_SIZE + len).div_ceil(PAGE_SIZE);
    let statuses = UserSlice::new(UserPtr::from_addr(asked.statuses as usize), pages as usize);
    let mut statuses = UserStatuses(statuses.writer());

    let done = with_buffer(asked.buffer, len, |buffer, len| {
        Ok(bulk::read_pages(
            &RunningKernel,
            buffer,
            &mut statuses,
            access,
            asked.addr,
            len,
        )?)
    })?;
    asked.done = done as u64;
    write_reply(arg, size, &asked)
}

fn set_access(file: &OpenFile<'_>, arg: usize) -> Result {
    let (size, asked) = read_request::<abi::SetAccess>(arg)?;
    request::access(asked.access, parameters::device_allowed())?;
    file.set_access_bits(asked.access);
    write_reply(arg, size, &asked)
}

fn load(file: &OpenFile<'_>, arg: usize) -> Result {
    let (size, mut asked) = read_request::<abi::Load>(arg)?;
    let access = requested_access(file, asked.access)?;
    let width = u8::try_from(asked.width).map_err(|_| EINVAL)?;
    asked.value = request::load(&RunningKernel, access, asked.addr, width)?;
    asked.reserved = 0;
    write_reply(arg, size, &asked)
}

fn translate(arg: usize) -> Result {
    let (size, asked) = read_request::<abi::Translate>(arg)?;
    let answer = walk(asked.page_table, asked.virt)?;
    write_reply(arg, size, &answer)
}

fn walk(page_table: u64, virt: u64) -> Result<abi::Translate> {
    let levels = RunningKernel.paging()?.levels;
    let (root, walk) = request::translate(&RunningKernel, page_table, virt)?;
    Ok(request::translate_reply(virt, root, levels, &walk))
}

fn page_table(arg: usize) -> Result {
    let (size, mut asked) = read_request::<abi::PageTable>(arg)?;
    (asked.kernel, asked.user) = request::page_tables(&RunningKernel, asked.pid)?;
    write_reply(arg, size, &asked)
}

/// The original's READ_PHYSADDR.
fn read_physaddr(file: &OpenFile<'_>, arg: usize) -> Result {
    let mut asked = read_original::<original::DataTransfer>(arg)?;
    let access = Access::from_flags(file.access_bits())?;
    let addr = asked.phys_address;
    match asked.decode()? {
        original::Transfer::Load { width } => {
            asked.out_value = request::load(&RunningKernel, access, addr, width)?;
        }
        original::Transfer::Buffer { len } => {
            let done = with_buffer(asked.readbuffer, len as u64, |buffer, len| {
                Ok(bulk::read(&RunningKernel, buffer, access, addr, len)?)
            })?;
            if done == 0 {
                return Err(ENXIO);
            }
            asked.readbuffer_size = done as u64;
        }
    }
    write_original(arg, &asked)
}

/// The original's VTOP_TRANSLATION_SERVICE.
fn vtop(arg: usize) -> Result {
    let asked = read_original::<original::VtopInfo>(arg)?;
    if asked.virt_address == 0 {
        return Err(EINVAL);
    }
    let walk = walk(asked.associated_cr3, asked.virt_address)?;
    // SAFETY: Computes an address and reads nothing.
    let base = unsafe { shim::linpmem_direct_map(0) } as u64;
    let (answer, result) = asked.reply(&walk, base);
    write_original(arg, &answer)?;
    Ok(result?)
}

/// The original's QUERY_CR3.
fn query_cr3(arg: usize) -> Result {
    let mut asked = read_original::<original::Cr3Info>(arg)?;
    (asked.result_cr3, _) = request::page_tables(&RunningKernel, asked.pid()?)?;
    write_original(arg, &asked)
}

/// What this request may read: the file's access bits and its own.
fn requested_access(file: &OpenFile<'_>, flags: u32) -> Result<Access> {
    let bits = file.access_bits() | flags;
    Ok(request::access(bits, parameters::device_allowed())?)
}

/// Runs `fill` on the caller's buffer of `len` bytes at `addr`.
fn with_buffer(
    addr: u64,
    len: u64,
    fill: impl FnOnce(&mut UserBuffer<'_, '_>, usize) -> Result<usize>,
) -> Result<usize> {
    let iter = Opaque::<bindings::iov_iter>::uninit();
    // SAFETY: The shim initialises the iterator if it returns 0.
    to_result(unsafe { shim::linpmem_user_buffer(iter.get(), addr, len) })?;
    // SAFETY: The iterator is initialised for writing to the caller's memory, and
    // lives until the end of this function.
    let iov = unsafe { IovIterDest::from_raw(iter.get()) };
    // The kernel may have shortened it to the longest transfer of one system call.
    let len = iov.len();
    let mut buffer = UserBuffer::new(iov).ok_or(EINVAL)?;
    fill(&mut buffer, len)
}

/// The size that the caller's struct states.
fn caller_size(arg: usize) -> Result<usize> {
    let user = UserSlice::new(UserPtr::from_addr(arg), size_of::<u32>());
    let size = user.reader().read::<u32>()? as usize;
    match size {
        0..8 => Err(EINVAL),
        8..=LARGEST => Ok(size),
        _ => Err(E2BIG),
    }
}

/// Reads a struct of this ABI. Fields that the caller's version lacks are zero.
fn read_request<T: Default + AsBytes + FromBytes>(arg: usize) -> Result<(usize, T)> {
    let size = caller_size(arg)?;
    let common = size.min(size_of::<T>());
    let mut request = T::default();
    let bytes = request.as_bytes_mut().get_mut(..common).ok_or(EINVAL)?;
    UserSlice::new(UserPtr::from_addr(arg), common)
        .reader()
        .read_slice(bytes)?;
    Ok((size, request))
}

/// Writes the answer to a struct that begins with its size: as much as the caller has
/// room for, and zeros for fields that this module does not know.
fn write_reply<T: AsBytes>(arg: usize, size: usize, answer: &T) -> Result {
    let bytes = answer.as_bytes();
    let filled = size.min(bytes.len());
    let mut writer = UserSlice::new(UserPtr::from_addr(arg), size).writer();
    writer.write::<u32>(&(filled as u32))?;
    writer.write_slice(bytes.get(size_of::<u32>()..filled).ok_or(EINVAL)?)?;
    for _ in filled..size {
        writer.write::<u8>(&0)?;
    }
    Ok(())
}

/// Reads a struct of the original's ABI.
fn read_original<T: FromBytes>(arg: usize) -> Result<T> {
    UserSlice::new(UserPtr::from_addr(arg), size_of::<T>())
        .reader()
        .read::<T>()
}

/// Writes a struct of the original's ABI back.
fn write_original<T: AsBytes>(arg: usize, answer: &T) -> Result {
    UserSlice::new(UserPtr::from_addr(arg), size_of::<T>())
        .writer()
        .write(answer)
}
