// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's reason why something could not be read.

use std::fmt;

/// A Linux error number, as a positive integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(i32);

/// Numbers after include/uapi/asm-generic/errno-base.h and errno.h, with what
/// each means when a *page* is refused.
const MEANINGS: [(i32, &str, &str); 11] = [
    (1, "EPERM", "not allowed: lockdown or a missing capability"),
    (5, "EIO", "the hardware or the kernel's mapping failed"),
    (6, "ENXIO", "no such physical address"),
    (13, "EACCES", "device memory or a hole, not asked for"),
    (14, "EFAULT", "not mapped"),
    (16, "EBUSY", "it moved while memory was added or removed"),
    (61, "ENODATA", "offline, ballooned or not yet accepted"),
    (95, "EOPNOTSUPP", "not supported on this machine"),
    (110, "ETIMEDOUT", "the source did not answer in time"),
    (125, "ECANCELED", "the run was stopped before its turn"),
    (133, "EHWPOISON", "the hardware reported the page as broken"),
];

impl Errno {
    /// Input or output error: what a page is listed with if nothing else is known.
    pub const EIO: Self = Self(5);
    /// No such address.
    pub const ENXIO: Self = Self(6);

    /// Not read, since the acquisition was stopped before it came to it.
    pub const ECANCELED: Self = Self(125);

    /// The error number `code`.
    #[must_use]
    pub const fn new(code: i32) -> Self {
        Self(code)
    }

    /// The positive number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// `EIO` and the like, for the numbers a page can be refused with.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        MEANINGS
            .iter()
            .find_map(|&(code, name, _)| (code == self.0).then_some(name))
    }

    /// What the number means when a page is refused with it.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        MEANINGS
            .iter()
            .find_map(|&(code, _, meaning)| (code == self.0).then_some(meaning))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_have_their_names_and_others_stay_numbers() {
        assert_eq!(Errno::EIO.to_string(), "EIO");
        assert_eq!(Errno::new(133).to_string(), "EHWPOISON");
        assert_eq!(Errno::new(4095).to_string(), "errno 4095");
    }
}
