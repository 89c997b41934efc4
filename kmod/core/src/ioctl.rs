// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The ioctls: read the caller's struct, decide, write the answer.

use super::access::Access;
use super::kernel::{Kernel, Statuses, Transfer};
use super::plain::{Plain, LARGEST};
use super::{abi, bulk, original, request, Errno};
use core::mem::size_of;

/// The largest struct that any version of this ABI may have, in bytes.
const LARGEST_EVER: u64 = 4096;

const INFO: u32 = abi::without_size(abi::IOCTL_INFO);
const READ: u32 = abi::without_size(abi::IOCTL_READ);
const SET_ACCESS: u32 = abi::without_size(abi::IOCTL_SET_ACCESS);
const TRANSLATE: u32 = abi::without_size(abi::IOCTL_TRANSLATE);
const PAGE_TABLE: u32 = abi::without_size(abi::IOCTL_PAGE_TABLE);
const LOAD: u32 = abi::without_size(abi::IOCTL_LOAD);

/// What the ioctls need beyond the kernel: the module around the core, and its caller.
pub trait Shell: Kernel {
    /// The caller's buffer.
    type Buffer<'b>: Transfer;

    /// Copies from the caller's memory.
    ///
    /// # Errors
    /// `EFAULT`.
    fn read_user(&self, addr: u64, out: &mut [u8]) -> Result<(), Errno>;

    /// Copies to the caller's memory.
    ///
    /// # Errors
    /// `EFAULT`.
    fn write_user(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno>;

    /// Runs `fill` on the caller's buffer of `len` bytes at `addr`. It may be shortened to
    /// the longest transfer of one system call.
    ///
    /// # Errors
    /// `EFAULT` if it is not the caller's, or what `fill` returns.
    fn with_buffer(
        &self,
        addr: u64,
        len: u64,
        fill: impl FnOnce(&mut Self::Buffer<'_>, usize) -> Result<usize, Errno>,
    ) -> Result<usize, Errno>;

    /// The answer to INFO.
    ///
    /// # Errors
    /// If the machine's description cannot be read.
    fn info(&self) -> Result<abi::Info, Errno>;

    /// Whether a process that opened the device may ask to read device memory and holes.
    fn device_allowed(&self) -> bool;

    /// The kernel address of physical address 0 in the direct map.
    fn direct_map_base(&self) -> u64;
}

/// What one open file may read.
pub trait OpenFile {
    /// The file's `ACCESS_*` bits.
    fn access_bits(&self) -> u32;
    /// Replaces them.
    fn set_access_bits(&self, bits: u32);
}

/// Carries out ioctl `cmd` on the struct at `arg`.
///
/// # Errors
/// Those of docs/abi.md.
pub fn answer<S: Shell>(shell: &S, file: &impl OpenFile, cmd: u32, arg: u64) -> Result<(), Errno> {
    match cmd {
        original::IOCTL_READ_PHYSADDR => return read_physaddr(shell, file, arg),
        original::IOCTL_VTOP => return vtop(shell, arg),
        original::IOCTL_QUERY_CR3 => return query_cr3(shell, arg),
        _ => {}
    }
    match abi::without_size(cmd) {
        INFO => {
            let size = caller_size(shell, arg)?;
            write_reply(shell, arg, size, shell.info()?)
        }
        READ => read(shell, file, arg),
        SET_ACCESS => {
            let (size, asked) = read_request::<_, abi::SetAccess>(shell, arg)?;
            request::access(asked.access, shell.device_allowed())?;
            file.set_access_bits(asked.access);
            write_reply(shell, arg, size, asked)
        }
        LOAD => load(shell, file, arg),
        TRANSLATE => {
            let (size, asked) = read_request::<_, abi::Translate>(shell, arg)?;
            let answer = request::translate(shell, asked.page_table, asked.virt)?;
            write_reply(shell, arg, size, answer)
        }
        PAGE_TABLE => {
            let (size, mut asked) = read_request::<_, abi::PageTable>(shell, arg)?;
            (asked.kernel, asked.user) = request::page_tables(shell, asked.pid)?;
            write_reply(shell, arg, size, asked)
        }
        _ => Err(Errno::ENOTTY),
    }
}

fn read<S: Shell>(shell: &S, file: &impl OpenFile, arg: u64) -> Result<(), Errno> {
    let (size, mut asked) = read_request::<_, abi::Read>(shell, arg)?;
    let access = requested_access(shell, file, asked.access)?;
    let len = asked.len.min(abi::READ_MAX_BYTES);
    let mut statuses = UserStatuses {
        shell,
        next: asked.statuses,
    };
    let done = shell.with_buffer(asked.buffer, len, |buffer, len| {
        bulk::read_pages(shell, buffer, &mut statuses, access, asked.addr, len)
    })?;
    asked.done = u64::try_from(done).map_err(|_| Errno::EINVAL)?;
    write_reply(shell, arg, size, asked)
}

fn load<S: Shell>(shell: &S, file: &impl OpenFile, arg: u64) -> Result<(), Errno> {
    let (size, mut asked) = read_request::<_, abi::Load>(shell, arg)?;
    let access = requested_access(shell, file, asked.access)?;
    let width = u8::try_from(asked.width).map_err(|_| Errno::EINVAL)?;
    asked.value = request::load(shell, access, asked.addr, width)?;
    asked.reserved = 0;
    write_reply(shell, arg, size, asked)
}

/// The original's READ_PHYSADDR.
fn read_physaddr<S: Shell>(shell: &S, file: &impl OpenFile, arg: u64) -> Result<(), Errno> {
    let mut asked: original::DataTransfer = read_plain(shell, arg, usize::MAX)?;
    let access = Access::from_flags(file.access_bits())?;
    let addr = asked.phys_address;
    match asked.decode()? {
        original::Transfer::Load { width } => {
            asked.out_value = request::load(shell, access, addr, width)?;
        }
        original::Transfer::Buffer { len } => {
            let len = u64::try_from(len).map_err(|_| Errno::EINVAL)?;
            let done = shell.with_buffer(asked.readbuffer, len, |buffer, len| {
                bulk::read(shell, buffer, access, addr, len)
            })?;
            if done == 0 {
                return Err(Errno::ENXIO);
            }
            asked.readbuffer_size = u64::try_from(done).map_err(|_| Errno::EINVAL)?;
        }
    }
    write_plain(shell, arg, asked)
}

/// The original's VTOP_TRANSLATION_SERVICE.
fn vtop<S: Shell>(shell: &S, arg: u64) -> Result<(), Errno> {
    let asked: original::VtopInfo = read_plain(shell, arg, usize::MAX)?;
    if asked.virt_address == 0 {
        return Err(Errno::EINVAL);
    }
    let walk = request::translate(shell, asked.associated_cr3, asked.virt_address)?;
    let (answer, result) = asked.reply(&walk, shell.direct_map_base());
    write_plain(shell, arg, answer)?;
    result
}

/// The original's QUERY_CR3.
fn query_cr3<S: Shell>(shell: &S, arg: u64) -> Result<(), Errno> {
    let mut asked: original::Cr3Info = read_plain(shell, arg, usize::MAX)?;
    (asked.result_cr3, _) = request::page_tables(shell, asked.pid()?)?;
    write_plain(shell, arg, asked)
}

/// What this request may read: the file's access bits and its own.
fn requested_access<S: Shell>(
    shell: &S,
    file: &impl OpenFile,
    flags: u32,
) -> Result<Access, Errno> {
    request::access(file.access_bits() | flags, shell.device_allowed())
}

/// The size that the caller's struct states.
fn caller_size<S: Shell>(shell: &S, arg: u64) -> Result<usize, Errno> {
    let size: u32 = read_plain(shell, arg, usize::MAX)?;
    match u64::from(size) {
        0..8 => Err(Errno::EINVAL),
        8..=LARGEST_EVER => usize::try_from(size).map_err(|_| Errno::E2BIG),
        _ => Err(Errno::E2BIG),
    }
}

/// Reads a struct of this ABI. Fields that the caller's version lacks are zero.
fn read_request<S: Shell, T: Plain>(shell: &S, arg: u64) -> Result<(usize, T), Errno> {
    let size = caller_size(shell, arg)?;
    Ok((size, read_plain(shell, arg, size)?))
}

/// Writes the answer to a struct that begins with its size: as much as the caller has
/// room for, and zeros for fields that this module does not know.
fn write_reply<S: Shell, T: Plain>(
    shell: &S,
    arg: u64,
    size: usize,
    answer: T,
) -> Result<(), Errno> {
    let mut bytes = [0; LARGEST];
    answer.put(&mut bytes.as_mut_slice());
    let filled = size.min(size_of::<T>());
    let stated = u32::try_from(filled).map_err(|_| Errno::EINVAL)?;
    stated.put(&mut bytes.as_mut_slice());
    let known = bytes.get(..filled).ok_or(Errno::EINVAL)?;
    shell.write_user(arg, known)?;
    write_zeros(shell, after(arg, filled)?, size - filled)
}

fn write_zeros<S: Shell>(shell: &S, mut addr: u64, mut len: usize) -> Result<(), Errno> {
    let zeros = [0; LARGEST];
    while len > 0 {
        let part = zeros.get(..len.min(LARGEST)).unwrap_or(&zeros);
        shell.write_user(addr, part)?;
        addr = after(addr, part.len())?;
        len -= part.len();
    }
    Ok(())
}

/// Reads at most `size` bytes of a struct.
fn read_plain<S: Shell, T: Plain>(shell: &S, arg: u64, size: usize) -> Result<T, Errno> {
    let mut bytes = [0; LARGEST];
    let common = bytes
        .get_mut(..size.min(size_of::<T>()))
        .ok_or(Errno::EINVAL)?;
    shell.read_user(arg, common)?;
    Ok(T::take(&mut bytes.as_slice()))
}

/// Writes a struct back as a whole.
fn write_plain<S: Shell, T: Plain>(shell: &S, arg: u64, answer: T) -> Result<(), Errno> {
    let mut bytes = [0; LARGEST];
    answer.put(&mut bytes.as_mut_slice());
    let all = bytes.get(..size_of::<T>()).ok_or(Errno::EINVAL)?;
    shell.write_user(arg, all)
}

/// The caller's array of page statuses.
struct UserStatuses<'s, S> {
    shell: &'s S,
    next: u64,
}

impl<S: Shell> Statuses for UserStatuses<'_, S> {
    fn append(&mut self, pages: u64, status: u8) -> Result<(), Errno> {
        let same = [status; LARGEST];
        let mut left = usize::try_from(pages).unwrap_or(usize::MAX);
        while left > 0 {
            let part = same.get(..left.min(LARGEST)).unwrap_or(&same);
            self.shell
                .write_user(self.next, part)
                .map_err(|_| Errno::EFAULT)?;
            self.next = after(self.next, part.len())?;
            left -= part.len();
        }
        Ok(())
    }
}

/// The address `len` bytes behind `addr`.
fn after(addr: u64, len: usize) -> Result<u64, Errno> {
    u64::try_from(len)
        .ok()
        .and_then(|len| addr.checked_add(len))
        .ok_or(Errno::EFAULT)
}
