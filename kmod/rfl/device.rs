// SPDX-License-Identifier: GPL-2.0-only
//! The file /dev/linpmem: the one place that touches the kernel's moving APIs.
//!
//! The file operations are our own and not those of `kernel::miscdevice`, which
//! has neither lseek nor a node mode.

use crate::linpmem_core::abi::{self, Info};
use crate::linpmem_core::{bulk, classify, Errno};
use crate::running::{self, shim, RunningKernel};
use crate::transfer::UserBuffer;
use kernel::ffi::{c_int, c_long, c_uint, c_ulong};
use kernel::{
    bindings,
    error::to_result,
    iov::IovIterDest,
    prelude::*,
    transmute::AsBytes,
    types::Opaque,
    uaccess::{UserPtr, UserSlice},
};

/// Only root, and only for reading.
const NODE_MODE: u16 = 0o400;

/// The registered device.
///
/// # Invariants
/// `misc` is registered, with `fops` as its operations, from the end of
/// [`Device::register`] to the drop.
#[pin_data(PinnedDrop)]
pub(crate) struct Device {
    #[pin]
    fops: Opaque<bindings::file_operations>,
    #[pin]
    misc: Opaque<bindings::miscdevice>,
}

// SAFETY: The kernel may use and deregister the device on any thread.
unsafe impl Send for Device {}
// SAFETY: There is no method that takes `&self`.
unsafe impl Sync for Device {}

impl Device {
    pub(crate) fn register(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let fops = bindings::file_operations {
            owner: module.as_ptr(),
            open: Some(open),
            llseek: Some(llseek),
            read_iter: Some(read_iter),
            unlocked_ioctl: Some(ioctl),
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
                // SAFETY: The slot holds a whole `miscdevice` and is pinned until
                // the drop, which deregisters it.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Device {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered, by the type's invariants.
        unsafe { bindings::misc_deregister(self.misc.get()) };
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
    // SAFETY: Asks about the current task.
    if !unsafe { bindings::capable(bindings::CAP_SYS_RAWIO as c_int) } {
        return Err(EPERM);
    }
    not_locked_down()
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::from_errno(-errno.get())
    }
}

/// # Safety
/// Called by the kernel for a file that is being opened.
unsafe extern "C" fn open(_inode: *mut bindings::inode, _file: *mut bindings::file) -> c_int {
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
    // SAFETY: Both are valid and ours alone for this call.
    let (position, iov) = unsafe { (&mut (*kiocb).ki_pos, IovIterDest::from_raw(iov)) };
    match read(position, iov) {
        Ok(bytes) => bytes as isize,
        Err(error) => error.to_errno() as isize,
    }
}

fn read(position: &mut i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
    not_locked_down()?;
    let start = u64::try_from(*position).map_err(|_| EINVAL)?;
    let len = iov.len();
    let mut buffer = UserBuffer::new(iov).ok_or(EINVAL)?;
    let bytes = bulk::read(&RunningKernel, &mut buffer, start, len)?;
    // No read passes the last physical address, which is far below 2^63.
    *position = position.saturating_add(i64::try_from(bytes).unwrap_or(0));
    Ok(bytes)
}

/// # Safety
/// Called by the kernel with an open file.
unsafe extern "C" fn ioctl(_file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
    let result = match abi::without_size(cmd) {
        INFO => info(arg),
        _ => Err(ENOTTY),
    };
    match result {
        Ok(()) => 0,
        Err(error) => error.to_errno() as c_long,
    }
}

const INFO: u32 = abi::without_size(abi::IOCTL_INFO);

// SAFETY: `Info` is made of integers only, without padding (abi.rs checks its size).
unsafe impl AsBytes for Info {}

fn info(arg: usize) -> Result {
    not_locked_down()?;
    let info = running::info()?;
    reply(arg, info.as_bytes())
}

/// Answers a struct that begins with its size: fills what the caller has room
/// for and zeroes what it has beyond ours.
fn reply(arg: usize, answer: &[u8]) -> Result {
    const LARGEST: usize = 4096;
    let user = UserPtr::from_addr(arg);
    let theirs = UserSlice::new(user, 4).reader().read::<u32>()? as usize;
    if theirs < 8 {
        return Err(EINVAL);
    }
    if theirs > LARGEST {
        return Err(E2BIG);
    }
    let filled = theirs.min(answer.len());
    let mut writer = UserSlice::new(user, theirs).writer();
    writer.write::<u32>(&(filled as u32))?;
    writer.write_slice(answer.get(4..filled).ok_or(EINVAL)?)?;
    for _ in filled..theirs {
        writer.write::<u8>(&0)?;
    }
    Ok(())
}
