// SPDX-License-Identifier: MIT OR Apache-2.0
//! The structures of an archive: signatures, sizes and extra fields.

use crate::fields::Fields;

/// The signature of a member's local header.
pub(super) const LOCAL: u32 = 0x0403_4b50;
/// The signature of a data descriptor: checksum and sizes behind a member's content.
pub(super) const DESCRIPTOR: u32 = 0x0807_4b50;
/// The signature of a directory entry.
pub(super) const CENTRAL: u32 = 0x0201_4b50;
/// The signature of the end of the directory.
pub(super) const END: u32 = 0x0605_4b50;
/// The signature of the end of the directory with 64-bit sizes.
pub(super) const END64: u32 = 0x0606_4b50;
/// The signature of the locator, which gives the offset of [`END64`] and precedes
/// [`END`].
pub(super) const LOCATOR64: u32 = 0x0706_4b50;

/// Size of a local header without name and extra fields.
pub(super) const LOCAL_BYTES: u64 = 30;
/// Size of a data descriptor with 64-bit sizes.
pub(super) const DESCRIPTOR_BYTES: u64 = 24;
/// Size of a directory entry without name, extra fields and comment.
pub(super) const CENTRAL_BYTES: u64 = 46;
/// Size of the end of the directory without its comment.
pub(super) const END_BYTES: u64 = 22;
/// Size of the end of the directory with 64-bit sizes.
pub(super) const END64_BYTES: u64 = 56;
/// Size of the locator.
pub(super) const LOCATOR64_BYTES: u64 = 20;

/// The flag of members that have a data descriptor.
pub(super) const SIZES_FOLLOW: u16 = 1 << 3;

/// The id of the extra field with 64-bit sizes.
pub(super) const EXTRA64: u16 = 1;
/// The value of a 32-bit size or offset that is in the extra field instead.
pub(super) const ELSEWHERE: u32 = u32::MAX;

/// The content of the extra field `wanted`.
pub(super) fn extra(fields: &[u8], wanted: u16) -> Option<Fields<'_>> {
    let mut fields = Fields(fields);
    loop {
        let kind = fields.u16()?;
        let len = usize::from(fields.u16()?);
        let content = fields.take(len)?;
        if kind == wanted {
            return Some(Fields(content));
        }
    }
}

/// A 32-bit size, or the next number of the extra field if the size is there.
pub(super) fn widened(short: u32, wide: &mut Option<Fields<'_>>) -> Option<u64> {
    if short != ELSEWHERE {
        return Some(u64::from(short));
    }
    match wide {
        Some(fields) => fields.u64(),
        // Without the field, the number is the size itself.
        None => Some(u64::from(short)),
    }
}
