// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two modules that can be behind a device, and what ours can do.

use linpmem_core::abi;
use rustix::fs::{Dev, major};
use std::fmt;

/// The ABI that an open device supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// This project's module.
    Linpmem,
    /// The original Linpmem: one page a call, loads, translation, CR3. Anything else
    /// is an error ([`RequestError::Unsupported`](crate::RequestError)).
    Original,
}

/// What a module of this project can do, by the bits of its answer to INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    pub(crate) const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits as the module gave them.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// read(2), pread(2) and lseek(2) take physical addresses.
    #[must_use]
    pub const fn read(self) -> bool {
        self.0 & abi::FEATURE_READ != 0
    }

    /// Reads of any length with a status for each page, and exact loads.
    #[must_use]
    pub const fn read_pages(self) -> bool {
        self.0 & abi::FEATURE_READ_PAGES != 0
    }

    /// Translation and page tables.
    #[must_use]
    pub const fn translate(self) -> bool {
        self.0 & abi::FEATURE_TRANSLATE != 0
    }

    /// The original Linpmem's ioctls.
    #[must_use]
    pub const fn original(self) -> bool {
        self.0 & abi::FEATURE_ORIGINAL != 0
    }

    /// Loaded with `allow_device=1`: device memory can be requested.
    #[must_use]
    pub const fn device(self) -> bool {
        self.0 & abi::FEATURE_DEVICE != 0
    }

    /// The names of the features that the module has.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.read(), "read"),
            (self.read_pages(), "read-pages"),
            (self.translate(), "translate"),
            (self.original(), "original-abi"),
            (self.device(), "device-memory"),
        ]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linpmem => "linpmem",
            Self::Original => "the original Linpmem",
        })
    }
}

/// Whether the character device `number` is registered as `linpmem` in the text of
/// /proc/devices. A device that is, but does not know INFO, is the original's.
pub(crate) fn is_registered_as_linpmem(devices: &str, number: Dev) -> bool {
    let wanted = major(number);
    devices
        .lines()
        .take_while(|line| !line.starts_with("Block devices"))
        .filter_map(|line| line.trim_start().split_once(' '))
        .any(|(number, name)| number.parse() == Ok(wanted) && name == "linpmem")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::makedev;

    const DEVICES: &str = "Character devices:\n  1 mem\n 10 misc\n 42 linpmem\n\n\
                           Block devices:\n 43 linpmem\n";

    #[test]
    fn the_original_is_known_by_its_device_number() {
        let is = |major| is_registered_as_linpmem(DEVICES, makedev(major, 0));
        assert!(is(42));
        assert!(!is(1), "another device");
        assert!(!is(43), "a block device");
    }

    #[test]
    fn features_have_names() {
        let some = Features::new(abi::FEATURE_READ | abi::FEATURE_DEVICE);
        assert_eq!(some.names().collect::<Vec<_>>(), ["read", "device-memory"]);
    }
}
