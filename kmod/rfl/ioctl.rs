// SPDX-License-Identifier: GPL-2.0-only
//! Requests: structs in, the core's answers out.

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

/// The largest struct that any version of this ABI may have.
const LARGEST: usize = 4096;

const INFO: u32 = abi::without_size(abi::IOCTL_INFO);
const READ: u32 = abi::without_size(abi::IOCTL_READ);
const SET_ACCESS: u32 = abi::without_size(abi::IOCTL_SET_ACCESS);
const TRANSLATE: u32 = abi::without_size(abi::IOCTL_TRANSLATE);
const PAGE_TABLE: u32 = abi::without_size(abi::IOCTL_PAGE_TABLE);
const LOAD: u32 = abi::without_size(abi::IOCTL_LOAD);

/// Structs of the ABIs, which user space may fill with any bytes.
macro_rules! plain {
    ($($name:ty),+ $(,)?) => {$(
        // SAFETY: Made of integers only, without padding (their sizes are checked
        // beside them), so any bytes are a value and every value is bytes.
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

/// Does what ioctl `cmd` asks for in the struct at `arg`.
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
            reply(arg, size, &running::info(parameters::device_allowed())?)
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
    let (size, mut asked) = take::<abi::Read>(arg)?;
    let access = permitted(file, asked.access)?;
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
    reply(arg, size, &asked)
}

fn set_access(file: &OpenFile<'_>, arg: usize) -> Result {
    let (size, asked) = take::<abi::SetAccess>(arg)?;
    request::access(asked.access, parameters::device_allowed())?;
    file.set_access_bits(asked.access);
    reply(arg, size, &asked)
}

fn load(file: &OpenFile<'_>, arg: usize) -> Result {
    let (size, mut asked) = take::<abi::Load>(arg)?;
    let access = permitted(file, asked.access)?;
    let width = u8::try_from(asked.width).map_err(|_| EINVAL)?;
    asked.value = request::load(&RunningKernel, access, asked.addr, width)?;
    asked.reserved = 0;
    reply(arg, size, &asked)
}

fn translate(arg: usize) -> Result {
    let (size, asked) = take::<abi::Translate>(arg)?;
    let answer = walked(asked.page_table, asked.virt)?;
    reply(arg, size, &answer)
}

fn walked(page_table: u64, virt: u64) -> Result<abi::Translate> {
    let levels = RunningKernel.paging()?.levels;
    let (root, walk) = request::translate(&RunningKernel, page_table, virt)?;
    Ok(request::translated(virt, root, levels, &walk))
}

fn page_table(arg: usize) -> Result {
    let (size, mut asked) = take::<abi::PageTable>(arg)?;
    (asked.kernel, asked.user) = request::page_tables(&RunningKernel, asked.pid)?;
    reply(arg, size, &asked)
}

/// READ_PHYSADDR of the original.
fn read_physaddr(file: &OpenFile<'_>, arg: usize) -> Result {
    let mut asked = whole::<original::DataTransfer>(arg)?;
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
    give(arg, &asked)
}

/// VTOP_TRANSLATION_SERVICE of the original.
fn vtop(arg: usize) -> Result {
    let asked = whole::<original::VtopInfo>(arg)?;
    if asked.virt_address == 0 {
        return Err(EINVAL);
    }
    let walk = walked(asked.associated_cr3, asked.virt_address)?;
    // SAFETY: Computes an address, reads nothing.
    let base = unsafe { shim::linpmem_direct_map(0) } as u64;
    let (answer, result) = asked.answered(&walk, base);
    give(arg, &answer)?;
    Ok(result?)
}

/// QUERY_CR3 of the original.
fn query_cr3(arg: usize) -> Result {
    let mut asked = whole::<original::Cr3Info>(arg)?;
    (asked.result_cr3, _) = request::page_tables(&RunningKernel, asked.pid()?)?;
    give(arg, &asked)
}

/// The file's access and the request's together.
fn permitted(file: &OpenFile<'_>, flags: u32) -> Result<Access> {
    let bits = file.access_bits() | flags;
    Ok(request::access(bits, parameters::device_allowed())?)
}

/// Lets `fill` fill the caller's `len` bytes at `addr`.
fn with_buffer(
    addr: u64,
    len: u64,
    fill: impl FnOnce(&mut UserBuffer<'_, '_>, usize) -> Result<usize>,
) -> Result<usize> {
    let iter = Opaque::<bindings::iov_iter>::uninit();
    // SAFETY: The shim initialises the iterator where it returns 0.
    to_result(unsafe { shim::linpmem_user_buffer(iter.get(), addr, len) })?;
    // SAFETY: It is initialised, for writing to the caller's memory, and lives
    // to the end of this function.
    let iov = unsafe { IovIterDest::from_raw(iter.get()) };
    // An iterator is no longer than one system call may read.
    let len = iov.len();
    let mut buffer = UserBuffer::new(iov).ok_or(EINVAL)?;
    fill(&mut buffer, len)
}

/// The size that the caller's struct says it has.
fn caller_size(arg: usize) -> Result<usize> {
    let user = UserSlice::new(UserPtr::from_addr(arg), size_of::<u32>());
    let size = user.reader().read::<u32>()? as usize;
    match size {
        0..8 => Err(EINVAL),
        8..=LARGEST => Ok(size),
        _ => Err(E2BIG),
    }
}

/// Takes a struct of this ABI: what the caller's version lacks is zero.
fn take<T: Default + AsBytes + FromBytes>(arg: usize) -> Result<(usize, T)> {
    let size = caller_size(arg)?;
    let common = size.min(size_of::<T>());
    let mut taken = T::default();
    let bytes = taken.as_bytes_mut().get_mut(..common).ok_or(EINVAL)?;
    UserSlice::new(UserPtr::from_addr(arg), common)
        .reader()
        .read_slice(bytes)?;
    Ok((size, taken))
}

/// Answers a struct that begins with its size: fills what the caller has room
/// for and zeroes what it has beyond ours.
fn reply<T: AsBytes>(arg: usize, size: usize, answer: &T) -> Result {
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

/// Takes a struct of the original's ABI.
fn whole<T: FromBytes>(arg: usize) -> Result<T> {
    UserSlice::new(UserPtr::from_addr(arg), size_of::<T>())
        .reader()
        .read::<T>()
}

/// Gives a struct of the original's ABI back.
fn give<T: AsBytes>(arg: usize, answer: &T) -> Result {
    UserSlice::new(UserPtr::from_addr(arg), size_of::<T>())
        .writer()
        .write(answer)
}
