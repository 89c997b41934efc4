// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lengths in memory (`usize`) and on disk (`u64`). The two are equally wide on
//! every machine this runs on, so neither direction ever saturates.

use linpmem_phys::{PhysAddr, PhysLen};

/// Bytes of `slice`.
#[must_use]
pub fn len_bytes<T>(slice: &[T]) -> u64 {
    u64::try_from(size_of_val(slice)).unwrap_or(u64::MAX)
}

/// `count` as the length of a slice.
#[must_use]
pub fn in_memory(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The distance from `lower` up to `upper`, 0 if it lies below.
#[must_use]
pub fn distance(lower: PhysAddr, upper: PhysAddr) -> u64 {
    upper.checked_sub(lower).map_or(0, PhysLen::get)
}

/// `part` of `whole` in per cent, with one digit behind the point.
#[must_use]
pub fn per_cent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part)
        .saturating_mul(1000)
        .checked_div(u128::from(whole))
        .unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down() {
        assert_eq!(per_cent(1, 3), "33.3 %");
        assert_eq!(per_cent(0, 0), "0.0 %");
        assert_eq!(per_cent(u64::MAX, u64::MAX), "100.0 %");
    }
}
