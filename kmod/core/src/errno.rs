// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The module's answers when it cannot do what was asked.

/// A positive Linux error number (include/uapi/asm-generic/errno*.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    /// Lockdown, or a missing capability.
    pub const EPERM: Self = Self(1);
    /// The page could not be read: a machine check, or nothing mapped there.
    pub const EIO: Self = Self(5);
    /// Beyond the last physical address.
    pub const ENXIO: Self = Self(6);
    /// No such process, or one without memory of its own.
    pub const ESRCH: Self = Self(3);
    /// A struct larger than any that this module knows how to answer.
    pub const E2BIG: Self = Self(7);
    /// Device memory or a hole, which was not asked for.
    pub const EACCES: Self = Self(13);
    /// The caller's buffer is not all there.
    pub const EFAULT: Self = Self(14);
    /// A request that makes no sense.
    pub const EINVAL: Self = Self(22);
    /// An unknown ioctl.
    pub const ENOTTY: Self = Self(25);
    /// Memory that is offline, ballooned or not yet accepted.
    pub const ENODATA: Self = Self(61);
    /// What this machine or this page cannot do.
    pub const EOPNOTSUPP: Self = Self(95);
    /// Memory that the hardware reported as broken.
    pub const EHWPOISON: Self = Self(133);

    /// The positive number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}
