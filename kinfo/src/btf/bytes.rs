// SPDX-License-Identifier: MIT OR Apache-2.0
//! Little-endian numbers at checked places.

/// The `u16` at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|part| u16::from_le_bytes(*part))
}

/// The `u32` at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|part| u32::from_le_bytes(*part))
}
