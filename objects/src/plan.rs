// SPDX-License-Identifier: MIT OR Apache-2.0
//! How large parts are.

use crate::backend::Limits;
use crate::upload::PartSizes;

/// The smallest part that is made unless the user wants another: larger ones save requests, and
/// take memory.
const LEAST_BYTES: u64 = 8 << 20;

/// The most bytes that parts may take together by default.
const BUDGET_BYTES: u64 = 32 << 20;

/// S3 takes no part that is twice as large.
const MOST_FIXED_BYTES: u64 = 4 << 30;

/// Parts that are sent at the same time, if there is memory for it.
const IN_FLIGHT: u64 = 3;

/// The sizes for an image of at most `bound` bytes; `wanted` is the user's size of a part.
pub(crate) fn sizes(limits: Limits, bound: u64, wanted: Option<u64>) -> PartSizes {
    if let Some(part_bytes) = limits.fixed_part_bytes {
        let in_flight = (BUDGET_BYTES / part_bytes.max(1)).saturating_sub(1);
        return PartSizes {
            part_bytes: usize::try_from(part_bytes).unwrap_or(usize::MAX),
            in_flight: usize::try_from(in_flight.clamp(1, IN_FLIGHT)).unwrap_or(1),
            parts_per_object: None,
        };
    }
    let parts = u64::from(limits.most_parts);
    let part_bytes = match wanted {
        Some(wanted) => wanted.next_multiple_of(limits.granule.max(1)),
        None => {
            let mut part_bytes = LEAST_BYTES;
            // One that is sent and one that is filled have to fit.
            while part_bytes < BUDGET_BYTES / 2 && part_bytes * parts < bound {
                part_bytes *= 2;
            }
            part_bytes
        }
    };
    let fits = part_bytes.saturating_mul(parts) >= bound || limits.are_parts_objects;
    let in_flight = match wanted {
        Some(_) => IN_FLIGHT,
        None => (BUDGET_BYTES / part_bytes - 1).clamp(1, IN_FLIGHT),
    };
    PartSizes {
        part_bytes: usize::try_from(part_bytes).unwrap_or(usize::MAX),
        in_flight: usize::try_from(in_flight).unwrap_or(1),
        parts_per_object: (!fits).then_some(limits.most_parts),
    }
}

/// The size of parts for an image of `bytes` that is one object, however much memory they take.
pub(crate) fn fixed(bytes: u64, most_parts: u64) -> u64 {
    let mut part_bytes = LEAST_BYTES;
    while part_bytes.saturating_mul(most_parts) < bytes && part_bytes < MOST_FIXED_BYTES {
        part_bytes *= 2;
    }
    part_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: Limits = Limits {
        most_parts: 9_000,
        granule: 1,
        is_sequential: false,
        are_parts_objects: false,
        fixed_part_bytes: None,
    };

    #[test]
    fn parts_stay_within_the_budget_however_large_the_image_is() {
        let gib = 1_u64 << 30;
        for (bound, mib, in_flight, per_object) in [
            (gib, 8, 3, None),
            (70 * gib, 8, 3, None),
            (71 * gib, 16, 1, None),
            (140 * gib, 16, 1, None),
            (512 * gib, 16, 1, Some(9_000)),
            (24_000 * gib, 16, 1, Some(9_000)),
        ] {
            let found = sizes(S3, bound, None);
            assert_eq!(found.part_bytes, mib << 20, "{bound}");
            assert_eq!(found.in_flight, in_flight, "{bound}");
            assert_eq!(found.parts_per_object, per_object, "{bound}");
            let all = found.part_bytes * (found.in_flight + 1);
            assert!(all <= 32 << 20, "{bound}");
        }
    }

    #[test]
    fn signed_parts_are_as_small_as_their_number_allows() {
        let gib = 1_u64 << 30;
        for (bytes, mib, in_flight) in [
            (1, 8, 3),
            (64 * gib, 8, 3),
            (78 * gib, 8, 3),
            (79 * gib, 16, 1),
            (512 * gib, 64, 1),
            (u64::MAX, 4096, 1),
        ] {
            let part_bytes = fixed(bytes, 10_000);
            assert_eq!(part_bytes, mib << 20, "{bytes}");
            let limits = Limits {
                fixed_part_bytes: Some(part_bytes),
                ..S3
            };
            let found = sizes(limits, bytes, None);
            assert_eq!(u64::try_from(found.part_bytes).unwrap(), part_bytes);
            assert_eq!(found.in_flight, in_flight, "{bytes}");
            assert_eq!(found.parts_per_object, None);
        }
    }

    #[test]
    fn the_users_size_counts() {
        let found = sizes(S3, 512 << 30, Some(100 << 20));
        assert_eq!(found.part_bytes, 100 << 20);
        assert_eq!(found.parts_per_object, None);
        let google = Limits {
            granule: 256 << 10,
            ..S3
        };
        assert_eq!(sizes(google, 1, Some(5)).part_bytes, 256 << 10);
    }
}
