// SPDX-License-Identifier: GPL-2.0-only
//! The device and its file operations.
//!
//! `kernel::miscdevice` would not do: it supports neither lseek nor a mode for the
//! node, and cannot serve a second device number. So the file operations are our own.

use crate::linpmem_core::access::Access;
use crate::linpmem_core::ioctl::{self, OpenFile as _};
use crate::linpmem_core::original::DEFAULT_MAJOR;
use crate::linpmem_core::{bulk, classify, Errno};
use crate::running::RunningKernel;
use crate::transfer::UserBuffer;
use crate::{parameters, shim};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::ffi::{c_int, c_long, c_uint, c_ulong, c_void};
use kernel::{bindings, error::to_result, iov::IovIterDest, prelude::*, types::Opaque};

/// Readable by root alone.
const NODE_MODE: u16 = 0o400;

/// How many minor numbers `register_chrdev` reserves.
const MINORS: c_uint = 256;

/// The registered device numbers.
///
/// # Invariants
/// From the end of [`Device::register`] until the drop, `fops` serves the misc
/// device `misc` if `has_node` is set, and the character device `major` unless that
/// is 0.
#[pin_data(PinnedDrop)]
pub(crate) struct Device {
    #[pin]
    fops: Opaque<bindings::file_operations>,
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    has_node: bool,
    major: c_uint,
}

// SAFETY: The kernel may use and deregister the device on any thread.
unsafe impl Send for Device {}
// SAFETY: No method takes `&self`.
unsafe impl Sync for Device {}

impl Device {
    /// Registers /dev/linpmem, and the original's device number 42 too if it is free.
    /// If `major` is not 0, registers only that number, for clients that make their
    /// own node.
    pub(crate) fn register(module: &'static ThisModule, major: u32) -> impl PinInit<Self, Error> {
        let has_node = major == 0;
        let fops = bindings::file_operations {
            owner: module.as_ptr(),
            open: Some(open),
            llseek: Some(llseek),
            read_iter: Some(read_iter),
            unlocked_ioctl: Some(unlocked_ioctl),
            compat_ioctl: bindings::compat_ptr_ioctl,
            ..pin_init::zeroed()
        };
        try_pin_init!(&this in Self {
            fops <- Opaque::new(fops),
            misc <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                let misc = bindings::miscdevice {
                    minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                    name: c"linpmem".as_ptr().cast(),
                    mode: NODE_MODE,
                    // SAFETY: `fops` is initialised above and pinned with `misc`.
                    fops: unsafe { Opaque::cast_into(&raw const (*this.as_ptr()).fops) },
                    ..pin_init::zeroed()
                };
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(misc) };
                if !has_node {
                    return Ok(());
                }
                // SAFETY: The slot holds a whole `miscdevice` and is pinned until
                // the drop, which deregisters it.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
            has_node,
            // This fails only if `major` is not 0, and then no node is registered that
            // would have to be removed again.
            // SAFETY: `fops` is initialised above and pinned until the drop.
            major: unsafe {
                register_number(major, Opaque::cast_into(&raw const (*this.as_ptr()).fops))
            }?,
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Device {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type's invariants both are registered.
        unsafe {
            if self.major != 0 {
                let name = c"linpmem".as_ptr().cast();
                bindings::__unregister_chrdev(self.major, 0, MINORS, name);
            }
            if self.has_node {
                bindings::misc_deregister(self.misc.get());
            }
        }
    }
}

/// Registers the character device number `wanted` and returns it. If `wanted` is 0,
/// it registers the original's number, or returns 0 if another driver has that.
///
/// # Safety
/// `fops` must stay valid until the number is released.
unsafe fn register_number(wanted: u32, fops: *const bindings::file_operations) -> Result<c_uint> {
    let major = if wanted == 0 { DEFAULT_MAJOR } else { wanted };
    let name = c"linpmem".as_ptr().cast();
    // SAFETY: The caller keeps `fops` valid, and the name is static.
    let status = unsafe { bindings::__register_chrdev(major, 0, MINORS, name, fops) };
    match to_result(status) {
        Ok(()) => Ok(major),
        Err(_) if wanted == 0 => Ok(0),
        Err(error) => Err(error),
    }
}

/// Fails if kernel lockdown forbids reading memory. The kernel can be locked down at
/// any time, so every request checks again.
fn not_locked_down() -> Result {
    // SAFETY: May be called at any time.
    to_result(unsafe { shim::linpmem_locked_down() })
}

/// Fails if the caller may not open the file. The rules are those of /dev/mem
/// (`open_port` in drivers/char/mem.c), plus the parameter `owner_uid`. The check is
/// made once: a process that later drops the capability keeps its open file, as it
/// does with any other file.
fn may_open() -> Result {
    // SAFETY: Both check the current task.
    let permitted = unsafe {
        bindings::capable(bindings::CAP_SYS_RAWIO as c_int)
            || shim::linpmem_is_user(parameters::owner_uid())
    };
    if !permitted {
        return Err(EPERM);
    }
    not_locked_down()
}

/// What one open file may read: the ABI's access bits, kept in its `private_data`.
pub(crate) struct OpenFile<'f>(&'f AtomicPtr<c_void>);

impl OpenFile<'_> {
    /// # Safety
    /// `file` must be an open file of this device, and stay open for `'f`.
    unsafe fn new(file: *mut bindings::file) -> Self {
        // SAFETY: The field is aligned and valid for `'f`, and only this type uses it
        // while the file is open.
        Self(unsafe { AtomicPtr::from_ptr(&raw mut (*file).private_data) })
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

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::from_errno(-errno.get())
    }
}

/// # Safety
/// Called by the kernel for a file that is being opened.
unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: This task is opening the file, and no other task has it yet.
    unsafe { OpenFile::new(file) }.set_access_bits(0);
    match may_open() {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
/// Called by the kernel with an open file.
unsafe extern "C" fn llseek(file: *mut bindings::file, offset: i64, whence: c_int) -> i64 {
    let size = i64::try_from(classify::limit(&RunningKernel)).unwrap_or(i64::MAX);
    // SAFETY: The caller's file is open.
    unsafe { bindings::fixed_size_llseek(file, offset, whence, size) }
}

/// # Safety
/// Called by the kernel with the control block of a read and the buffers to fill.
unsafe extern "C" fn read_iter(kiocb: *mut bindings::kiocb, iov: *mut bindings::iov_iter) -> isize {
    // SAFETY: Both are valid and exclusively ours for this call, and the file is open.
    let (file, position, iov) = unsafe {
        (
            OpenFile::new((*kiocb).ki_filp),
            &mut (*kiocb).ki_pos,
            IovIterDest::from_raw(iov),
        )
    };
    match read(&file, position, iov) {
        Ok(bytes) => bytes as isize,
        Err(error) => error.to_errno() as isize,
    }
}

fn read(file: &OpenFile<'_>, position: &mut i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
    not_locked_down()?;
    let access = Access::from_flags(file.access_bits())?;
    let start = u64::try_from(*position).map_err(|_| EINVAL)?;
    let len = iov.len();
    if parameters::LOGS_REQUESTS {
        pr_info!(
            "read {:#x} bytes at {:#x}, access {:?}\n",
            len,
            start,
            access
        );
    }
    let mut buffer = UserBuffer::new(iov).ok_or(EINVAL)?;
    let bytes = bulk::read(&RunningKernel, &mut buffer, access, start, len)?;
    // A read ends at the last physical address, which is far below 2^63.
    *position = position.saturating_add(i64::try_from(bytes).unwrap_or(0));
    Ok(bytes)
}

/// # Safety
/// Called by the kernel with an open file.
unsafe extern "C" fn unlocked_ioctl(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: The caller's file is open.
    let file = unsafe { OpenFile::new(file) };
    if parameters::LOGS_REQUESTS {
        pr_info!("ioctl {:#x}\n", cmd);
    }
    let answer = || Ok(ioctl::answer(&RunningKernel, &file, cmd, arg as u64)?);
    match not_locked_down().and_then(|()| answer()) {
        Ok(()) => 0,
        Err(error) => error.to_errno() as c_long,
    }
}
