// SPDX-License-Identifier: GPL-2.0-only
//! The device and its file operations.

use crate::facts::{fact, offset};
use crate::linpmem_core::access::Access;
use crate::linpmem_core::ioctl::{self, OpenFile as _};
use crate::linpmem_core::layout::{ABSENT, FILE_OPERATIONS_ROOM, MISCDEVICE_ROOM};
use crate::linpmem_core::original::DEFAULT_MAJOR;
use crate::linpmem_core::{bulk, classify, Errno};
use crate::running::RunningKernel;
use crate::transfer::UserBuffer;
use crate::{bindings, log, parameters, shim, user};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void, CStr};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

const NAME: &CStr = c"linpmem";

/// Readable by root alone.
const NODE_MODE: u16 = 0o400;

/// How many minor numbers `register_chrdev` reserves.
const MINORS: c_uint = 256;

/// MISC_DYNAMIC_MINOR.
const DYNAMIC_MINOR: c_int = 255;

/// CAP_SYS_RAWIO.
const CAP_SYS_RAWIO: c_int = 17;

/// A struct of the kernel, zero except for the fields that are set.
#[repr(align(64))]
struct KernelStruct<const ROOM: usize>(UnsafeCell<[u8; ROOM]>);

// SAFETY: `register` writes them before the kernel has them, and then only the kernel does.
unsafe impl<const ROOM: usize> Sync for KernelStruct<ROOM> {}

impl<const ROOM: usize> KernelStruct<ROOM> {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; ROOM]))
    }

    fn as_ptr(&self) -> *mut c_void {
        self.0.get().cast()
    }

    /// # Safety
    /// `offset` must be that of a field of this type, and the kernel must not have the
    /// struct yet.
    unsafe fn set<T>(&self, offset: usize, value: T) {
        // SAFETY: As the caller promises.
        unsafe { self.as_ptr().byte_add(offset).cast::<T>().write(value) };
    }
}

static FILE_OPERATIONS: KernelStruct<FILE_OPERATIONS_ROOM> = KernelStruct::new();
static MISCDEVICE: KernelStruct<MISCDEVICE_ROOM> = KernelStruct::new();

static HAS_NODE: AtomicBool = AtomicBool::new(false);
/// The registered number, or 0.
static MAJOR: AtomicU32 = AtomicU32::new(0);

/// Registers /dev/linpmem, and the original's device number 42 too if it is free. If
/// `major` is not 0, registers only that number, for clients that make their own node.
pub(crate) fn register(major: u32) -> Result<(), Errno> {
    let fits = (fact!(fops_size) as usize) <= FILE_OPERATIONS_ROOM
        && (fact!(misc_size) as usize) <= MISCDEVICE_ROOM;
    if !fits {
        log(c"\x013linpmem: this kernel's structs are larger than the module has room for\n");
        return Err(Errno::E2BIG);
    }
    let open: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int = open;
    let llseek: unsafe extern "C" fn(*mut c_void, i64, c_int) -> i64 = llseek;
    let read: unsafe extern "C" fn(*mut c_void, u64, usize, *mut i64) -> isize = read;
    let ioctl: unsafe extern "C" fn(*mut c_void, c_uint, c_ulong) -> c_long = unlocked_ioctl;
    let fops = &FILE_OPERATIONS;
    // SAFETY: The offsets are those of fields of these types, and the structs are not
    // registered yet.
    unsafe {
        fops.set(offset!(fops_owner), &raw const bindings::__this_module);
        fops.set(offset!(fops_open), open);
        fops.set(offset!(fops_llseek), llseek);
        fops.set(offset!(fops_read), read);
        fops.set(offset!(fops_unlocked_ioctl), ioctl);
        if fact!(fops_compat_ioctl) != ABSENT {
            // A 32-bit caller's pointer arrives as what it is here.
            fops.set(offset!(fops_compat_ioctl), ioctl);
        }
        MISCDEVICE.set(offset!(misc_minor), DYNAMIC_MINOR);
        MISCDEVICE.set(offset!(misc_name), NAME.as_ptr());
        MISCDEVICE.set(offset!(misc_fops), fops.as_ptr());
        MISCDEVICE.set(offset!(misc_mode), NODE_MODE);
    }
    if major == 0 {
        // SAFETY: The struct is complete, and static.
        succeed(unsafe { bindings::misc_register(MISCDEVICE.as_ptr()) })?;
        HAS_NODE.store(true, Ordering::Relaxed);
    }
    // This fails only if `major` is not 0, and then no node is registered that would have
    // to be removed again.
    MAJOR.store(register_number(major)?, Ordering::Relaxed);
    Ok(())
}

/// Undoes [`register`].
pub(crate) fn unregister() {
    // SAFETY: What is unregistered here is registered.
    unsafe {
        match MAJOR.load(Ordering::Relaxed) {
            0 => {}
            major => bindings::__unregister_chrdev(major, 0, MINORS, NAME.as_ptr()),
        }
        if HAS_NODE.load(Ordering::Relaxed) {
            bindings::misc_deregister(MISCDEVICE.as_ptr());
        }
    }
}

/// Registers the character device number `wanted` and returns it. If `wanted` is 0, it
/// registers the original's number, or returns 0 if another driver has that.
fn register_number(wanted: u32) -> Result<u32, Errno> {
    let major = if wanted == 0 { DEFAULT_MAJOR } else { wanted };
    let name: *const c_char = NAME.as_ptr();
    // SAFETY: The struct and the name are static.
    let status =
        unsafe { bindings::__register_chrdev(major, 0, MINORS, name, FILE_OPERATIONS.as_ptr()) };
    match succeed(status) {
        Ok(()) => Ok(major),
        Err(_) if wanted == 0 => Ok(0),
        Err(errno) => Err(errno),
    }
}

/// What the kernel returned.
fn succeed(status: c_int) -> Result<(), Errno> {
    match Errno::of_status(status) {
        Some(errno) => Err(errno),
        None => Ok(()),
    }
}

/// Fails if kernel lockdown forbids reading memory. The kernel can be locked down at
/// any time, so every request checks again.
fn not_locked_down() -> Result<(), Errno> {
    if shim::locked_down() {
        Err(Errno::EPERM)
    } else {
        Ok(())
    }
}

/// Fails if the caller may not open the file. The rules are those of /dev/mem
/// (`open_port` in drivers/char/mem.c), plus the parameter `owner_uid`. The check is
/// made once: a process that later drops the capability keeps its open file, as it
/// does with any other file.
fn may_open() -> Result<(), Errno> {
    // SAFETY: Checks the current task.
    let is_capable = unsafe { bindings::capable(CAP_SYS_RAWIO) };
    if !is_capable && !shim::is_user(parameters::owner_uid()) {
        return Err(Errno::EPERM);
    }
    not_locked_down()
}

/// What one open file may read: the ABI's access bits, kept in its `private_data`.
struct OpenFile<'f>(&'f AtomicPtr<c_void>);

impl OpenFile<'_> {
    /// # Safety
    /// `file` must be an open file of this device, and stay open for as long as this value.
    unsafe fn new(file: *mut c_void) -> Self {
        // SAFETY: The field is aligned and valid, and only this type uses it while the file
        // is open.
        unsafe {
            let field = file.byte_add(offset!(file_private_data));
            Self(AtomicPtr::from_ptr(field.cast::<*mut c_void>()))
        }
    }
}

impl ioctl::OpenFile for OpenFile<'_> {
    fn access_bits(&self) -> u32 {
        self.0.load(Ordering::Relaxed) as usize as u32
    }

    fn set_access_bits(&self, bits: u32) {
        let bits = core::ptr::without_provenance_mut(bits as usize);
        self.0.store(bits, Ordering::Relaxed);
    }
}

/// # Safety
/// Called by the kernel for a file that is being opened.
unsafe extern "C" fn open(_inode: *mut c_void, file: *mut c_void) -> c_int {
    // SAFETY: This task is opening the file, and no other task has it yet.
    unsafe { OpenFile::new(file) }.set_access_bits(0);
    match may_open() {
        Ok(()) => 0,
        Err(errno) => -errno.get(),
    }
}

/// # Safety
/// Called by the kernel with an open file.
unsafe extern "C" fn llseek(file: *mut c_void, offset: i64, whence: c_int) -> i64 {
    let size = i64::try_from(classify::limit(&RunningKernel)).unwrap_or(i64::MAX);
    // SAFETY: The caller's file is open.
    unsafe { bindings::fixed_size_llseek(file, offset, whence, size) }
}

/// # Safety
/// Called by the kernel with an open file, a buffer to fill, and its own position.
unsafe extern "C" fn read(file: *mut c_void, buffer: u64, len: usize, position: *mut i64) -> isize {
    // SAFETY: Both are valid and exclusively ours for this call, and the file is open.
    let (file, position) = unsafe { (OpenFile::new(file), &mut *position) };
    match read_at(&file, buffer, len, position) {
        Ok(bytes) => bytes as isize,
        Err(errno) => -(errno.get() as isize),
    }
}

fn read_at(
    file: &OpenFile<'_>,
    buffer: u64,
    len: usize,
    position: &mut i64,
) -> Result<usize, Errno> {
    not_locked_down()?;
    let access = Access::from_flags(file.access_bits())?;
    let start = u64::try_from(*position).map_err(|_| Errno::EINVAL)?;
    if !user::is_user(buffer, len as u64) {
        return Err(Errno::EFAULT);
    }
    let mut buffer = UserBuffer::new(buffer);
    let bytes = bulk::read(&RunningKernel, &mut buffer, access, start, len)?;
    // A read ends at the last physical address, which is far below 2^63.
    *position = position.saturating_add(i64::try_from(bytes).unwrap_or(0));
    Ok(bytes)
}

/// # Safety
/// Called by the kernel with an open file.
unsafe extern "C" fn unlocked_ioctl(file: *mut c_void, cmd: c_uint, arg: c_ulong) -> c_long {
    // SAFETY: The caller's file is open.
    let file = unsafe { OpenFile::new(file) };
    let result = not_locked_down().and_then(|()| ioctl::answer(&RunningKernel, &file, cmd, arg));
    match result {
        Ok(()) => 0,
        Err(errno) => -c_long::from(errno.get()),
    }
}
