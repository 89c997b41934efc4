// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses and lengths.

use std::fmt;

/// The smallest page of x86-64 and of arm64, in bytes: the unit of maps, images and of what
/// is readable or unreadable. Kernels of arm64 can have larger pages, which are whole numbers
/// of it.
pub const PAGE_SIZE: PhysLen = PhysLen::new(4096);

/// A physical address, in bytes from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(u64);

/// A number of bytes of physical memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysLen(u64);

impl PhysAddr {
    /// The lowest address.
    pub const ZERO: Self = Self(0);

    /// The address `bytes` above 0.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Bytes from 0.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The address `len` higher, or `None` past 2^64 − 1.
    #[must_use]
    pub const fn checked_add(self, len: PhysLen) -> Option<Self> {
        match self.0.checked_add(len.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The distance from `lower` up to this address, or `None` if it is below.
    #[must_use]
    pub const fn checked_sub(self, lower: Self) -> Option<PhysLen> {
        match self.0.checked_sub(lower.0) {
            Some(difference) => Some(PhysLen(difference)),
            None => None,
        }
    }

    /// The start of the page that contains this address.
    #[must_use]
    pub const fn page_floor(self) -> Self {
        Self(self.0 & !(PAGE_SIZE.0 - 1))
    }

    /// The nearest start of a page at or above this address, or `None` past 2^64 − 1.
    #[must_use]
    pub const fn page_ceil(self) -> Option<Self> {
        match self.0.checked_add(PAGE_SIZE.0 - 1) {
            Some(sum) => Some(Self(sum).page_floor()),
            None => None,
        }
    }

    /// Whether this is the start of a page.
    #[must_use]
    pub const fn is_page_aligned(self) -> bool {
        self.0 & (PAGE_SIZE.0 - 1) == 0
    }
}

impl PhysLen {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// The length of `bytes`.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, or `None` past 2^64 − 1.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` below 0.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The length to the byte, for output that is read back or has to be exact.
    #[must_use]
    pub const fn exact(self) -> ExactLen {
        ExactLen(self)
    }

    /// The number of pages that this many bytes touch, from the start of a page.
    #[must_use]
    pub const fn pages(self) -> u64 {
        self.0.div_ceil(PAGE_SIZE.0)
    }

    /// Whether this is a whole number of pages.
    #[must_use]
    pub const fn is_page_multiple(self) -> bool {
        self.0 & (PAGE_SIZE.0 - 1) == 0
    }
}

impl fmt::Display for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The binary units, largest first, and the power of two that each stands for.
const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];

/// For people: in the largest binary unit that leaves at least 1, with one decimal,
/// such as `3.9 KiB`. [`PhysLen::exact`] loses nothing.
impl fmt::Display for PhysLen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in UNITS {
            let whole = self.0 >> shift;
            if whole > 0 {
                // One decimal, cut and not rounded: 1023.99 MiB is not 1.0 GiB.
                let tenths = ((u128::from(self.0) * 10) >> shift) % 10;
                return if tenths == 0 {
                    write!(f, "{whole} {unit}")
                } else {
                    write!(f, "{whole}.{tenths} {unit}")
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// A length to the byte, as it can be typed: in the largest binary unit that divides
/// it, such as `64KiB`, or in bytes, such as `65535`.
#[derive(Clone, Copy, Debug)]
pub struct ExactLen(PhysLen);

impl fmt::Display for ExactLen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        for (shift, unit) in UNITS {
            if bytes != 0 && bytes.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", bytes >> shift);
            }
        }
        write!(f, "{bytes}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_both_ends() {
        let top = PhysAddr::new(u64::MAX);
        assert_eq!(top.checked_add(PhysLen::new(1)), None);
        assert_eq!(top.page_ceil(), None);
        assert_eq!(PhysAddr::ZERO.checked_sub(PhysAddr::new(1)), None);
        assert_eq!(
            PhysAddr::new(0x1fff).page_ceil(),
            Some(PhysAddr::new(0x2000))
        );
        assert_eq!(PhysAddr::new(0x1fff).page_floor(), PhysAddr::new(0x1000));
    }

    #[test]
    fn lengths_count_whole_pages_and_print_in_binary_units() {
        assert_eq!(PhysLen::new(0).pages(), 0);
        assert_eq!(PhysLen::new(4097).pages(), 2);
        assert_eq!(PhysLen::new(4095).to_string(), "3.9 KiB");
        assert_eq!(PhysLen::new(512 << 20).to_string(), "512 MiB");
        assert_eq!(PhysLen::new(u64::MAX).to_string(), "16777215.9 TiB");
        assert_eq!(PhysLen::new(17).to_string(), "17 B");
    }

    #[test]
    fn exact_lengths_lose_nothing() {
        for (bytes, text) in [
            (0, "0"),
            (17, "17"),
            (4095, "4095"),
            (4096, "4KiB"),
            (4097, "4097"),
            (1536 << 20, "1536MiB"),
            (3 << 40, "3TiB"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(PhysLen::new(bytes).exact().to_string(), text);
        }
    }
}
