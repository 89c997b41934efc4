// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The errors that the module returns.

/// A positive Linux error number (include/uapi/asm-generic/errno*.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    /// Lockdown, or a missing capability.
    pub const EPERM: Self = Self(1);
    /// A signal arrived before anything was read.
    pub const EINTR: Self = Self(4);
    /// The page could not be read: a machine check, or nothing mapped there.
    pub const EIO: Self = Self(5);
    /// An address beyond the processor's last physical address.
    pub const ENXIO: Self = Self(6);
    /// No such process, or one without memory of its own.
    pub const ESRCH: Self = Self(3);
    /// A struct larger than any version of this ABI has.
    pub const E2BIG: Self = Self(7);
    /// A module that is not for this kernel.
    pub const ENOEXEC: Self = Self(8);
    /// The kernel has no memory for the request.
    pub const ENOMEM: Self = Self(12);
    /// Device memory or a hole, without `ACCESS_DEVICE`.
    pub const EACCES: Self = Self(13);
    /// The caller's buffer cannot be written to.
    pub const EFAULT: Self = Self(14);
    /// An invalid request.
    pub const EINVAL: Self = Self(22);
    /// An unknown ioctl.
    pub const ENOTTY: Self = Self(25);
    /// Memory that is offline, ballooned or not yet accepted.
    pub const ENODATA: Self = Self(61);
    /// A request that this machine or this page does not support.
    pub const EOPNOTSUPP: Self = Self(95);
    /// Memory that the hardware reported as broken.
    pub const EHWPOISON: Self = Self(133);

    /// The error that a kernel function returned as a negative number.
    #[must_use]
    pub const fn of_status(status: i32) -> Option<Self> {
        match status.checked_neg() {
            Some(errno) if errno > 0 => Some(Self(errno)),
            _ => None,
        }
    }

    /// The positive number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}
