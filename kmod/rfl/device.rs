// SPDX-License-Identifier: GPL-2.0-only
//! The device's files: the one place that touches the kernel's moving APIs.
//!
//! The file operations are our own and not those of `kernel::miscdevice`, which
//! has neither lseek nor a node mode, and cannot serve a second device number.

use crate::linpmem_core::access::Access;
use crate::linpmem_core::original::DEFAULT_MAJOR;
use crate::linpmem_core::{bulk, classify, Errno};
use crate::running::RunningKernel;
use crate::transfer::UserBuffer;
use crate::{ioctl, parameters, shim};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::ffi::{c_int, c_long, c_uint, c_ulong, c_void};
use kernel::{bindings, error::to_result, iov::IovIterDest, prelude::*, types::Opaque};

/// Only root, and only for reading.
const NODE_MODE: u16 = 0o400;

/// Minor numbers of a character device, as `register_chrdev` takes them.
const MINORS: c_uint = 256;

/// The registered device numbers.
///
/// # Invariants
/// From the end of [`Device::register`] to the drop, `fops` serves the misc
/// device `misc` if `has_node`, and the character device `major` unless it is 0.
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
// SAFETY: There is no method that takes `&self`.
unsafe impl Sync for Device {}

impl Device {
    /// Registers /dev/linpmem and the original's number 42 beside it, if that is
    /// free; or the number `major` alone, for clients that make their own node.
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
                // SAFETY: The slot is there to be written.
                unsafe { slot.write(misc) };
                if !has_node {
                    return Ok(());
                }
                // SAFETY: The slot holds a whole `miscdevice` and is pinned until
                // the drop, which deregisters it.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
            has_node,
            // Fails only without a node, so there is none to be taken back.
            // SAFETY: `fops` is initialised above and pinned until the drop.
            major: unsafe {
                number(major, Opaque::cast_into(&raw const (*this.as_ptr()).fops))
            }?,
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Device {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Both are registered, by the type's invariants.
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

/// Registers the character device number `wanted`. Without a wish it is the
/// original's, and none where another driver has that.
///
/// # Safety
/// `fops` must stay valid until the number is given back.
unsafe fn number(wanted: u32, fops: *const bindings::file_operations) -> Result<c_uint> {
    let major = if wanted == 0 { DEFAULT_MAJOR } else { wanted };
    let name = c"linpmem".as_ptr().cast();
    // SAFETY: As the caller promises; the name is static.
    let status = unsafe { bindings::__register_chrdev(major, 0, MINORS, name, fops) };
    match to_result(status) {
        Ok(()) => Ok(major),
        Err(_) if wanted == 0 => Ok(0),
        Err(error) => Err(error),
    }
}

/// Whether the kernel lets memory be read at all. It can be locked down at any
/// time, so every call asks again.
fn not_locked_down() -> Result {
    // SAFETY: Asks about the kernel's state, at any time.
    to_result(unsafe { shim::linpmem_locked_down() })
}

/// Whether the caller may open the file. What /dev/mem asks for
/// (`open_port` in drivers/char/mem.c), and asked once: whoever drops the
/// capability afterwards keeps the file, as with any other.
fn may_open() -> Result {
    // SAFETY: Both ask about the current task.
    let permitted = unsafe {
        bindings::capable(bindings::CAP_SYS_RAWIO as c_int)
            || shim::linpmem_is_user(parameters::owner_uid())
    };
    if !permitted {
        return Err(EPERM);
    }
    not_locked_down()
}

/// What one open file may read, kept in its `private_data` as the ABI's bits.
pub(crate) struct OpenFile<'f>(&'f AtomicPtr<c_void>);

impl<'f> OpenFile<'f> {
    /// # Safety
    /// `file` must be a file of this device, and stay open for `'f`.
    unsafe fn new(file: *mut bindings::file) -> Self {
        // SAFETY: The field is aligned and valid for `'f`, and while the file is
        // open nobody but this type touches it.
        Self(unsafe { AtomicPtr::from_ptr(&raw mut (*file).private_data) })
    }

    pub(crate) fn access_bits(&self) -> u32 {
        self.0.load(Ordering::Relaxed) as usize as u32
    }

    pub(crate) fn set_access_bits(&self, bits: u32) {
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
    // SAFETY: The file is being opened, by this task alone.
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
/// Called by the kernel with the control block of a read and the buffers it fills.
unsafe extern "C" fn read_iter(kiocb: *mut bindings::kiocb, iov: *mut bindings::iov_iter) -> isize {
    // SAFETY: Both are valid and ours alone for this call, and the file is open.
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
    // No read passes the last physical address, which is far below 2^63.
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
    let result = not_locked_down().and_then(|()| ioctl::answer(&file, cmd, arg));
    match result {
        Ok(()) => 0,
        Err(error) => error.to_errno() as c_long,
    }
}
