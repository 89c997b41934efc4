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
