// SPDX-License-Identifier: MIT OR Apache-2.0
//! Integer conversions that lose nothing.
//!
//! File offsets and physical addresses are `u64`, slice lengths are `usize`. The
//! standard library converts between the two only fallibly, because some targets
//! have narrower pointers; this project builds for 64-bit Linux alone, where the
//! two are equally wide. Use these functions instead of `as`, which the lints
//! forbid, and instead of `try_from(…).unwrap_or(MAX)`, which turns an impossible
//! case into a wrong number.

#![expect(
    clippy::as_conversions,
    reason = "this file is the one place where they are proven to lose nothing"
)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "linpmem builds for 64-bit targets only: its lengths and offsets assume that usize and u64 \
     are equally wide"
);

/// A file offset, count or length as the length of a slice.
#[must_use]
pub const fn u64_as_usize(number: u64) -> usize {
    number as usize
}

/// The length of a slice as a file offset, count or length.
#[must_use]
pub const fn usize_as_u64(number: usize) -> u64 {
    number as u64
}

/// A 32-bit number as an index.
#[must_use]
pub const fn u32_as_usize(number: u32) -> usize {
    number as usize
}

/// `u64::from` for constants.
#[must_use]
pub const fn u32_as_u64(number: u32) -> u64 {
    number as u64
}

/// `usize::from` for constants.
#[must_use]
pub const fn u16_as_usize(number: u16) -> usize {
    number as usize
}

/// `u64::from` for constants.
#[must_use]
pub const fn u16_as_u64(number: u16) -> u64 {
    number as u64
}

/// The bytes that `slice` takes in memory.
#[must_use]
pub const fn len_bytes<T>(slice: &[T]) -> u64 {
    usize_as_u64(size_of_val(slice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_values_survive() {
        assert_eq!(u64_as_usize(u64::MAX), usize::MAX);
        assert_eq!(usize_as_u64(usize::MAX), u64::MAX);
        assert_eq!(u32_as_usize(u32::MAX), 0xffff_ffff);
        assert_eq!(u32_as_u64(u32::MAX), 0xffff_ffff);
        assert_eq!(u16_as_usize(u16::MAX), 0xffff);
        assert_eq!(u16_as_u64(u16::MAX), 0xffff);
    }

    #[test]
    fn slices_are_measured_in_bytes() {
        assert_eq!(len_bytes(&[0_u32; 3]), 12);
        assert_eq!(len_bytes::<u64>(&[]), 0);
    }
}
