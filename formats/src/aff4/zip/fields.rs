// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures, lengths and little-endian numbers.

/// Begins a member.
pub(super) const LOCAL: u32 = 0x0403_4b50;
/// Begins a member's entry in the directory.
pub(super) const CENTRAL: u32 = 0x0201_4b50;
/// Begins the end of the directory.
pub(super) const END: u32 = 0x0605_4b50;
/// Begins the end of the directory with 64-bit sizes.
pub(super) const END64: u32 = 0x0606_4b50;
/// Begins the pointer to the latter, just before the former.
pub(super) const LOCATOR64: u32 = 0x0706_4b50;

/// Bytes of a local header without name and extra fields.
pub(super) const LOCAL_BYTES: u64 = 30;
/// Bytes of a directory entry without name, extra fields and comment.
pub(super) const CENTRAL_BYTES: u64 = 46;
/// Bytes of the end of the directory without its comment.
pub(super) const END_BYTES: u64 = 22;
/// Bytes of the 64-bit end of the directory.
pub(super) const END64_BYTES: u64 = 56;
/// Bytes of the pointer to it.
pub(super) const LOCATOR64_BYTES: u64 = 20;

/// The extra field with 64-bit sizes.
pub(super) const EXTRA64: u16 = 1;
/// A size or offset that stands in the extra field.
pub(super) const ELSEWHERE: u32 = u32::MAX;

/// A cursor over little-endian numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::aff4) struct Fields<'a>(pub(in crate::aff4) &'a [u8]);

impl<'a> Fields<'a> {
    pub(in crate::aff4) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(in crate::aff4) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(in crate::aff4) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(in crate::aff4) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// What the extra field `wanted` holds.
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

/// A 32-bit size, or the next number of the extra field if it stands there.
pub(super) fn widened(short: u32, wide: &mut Option<Fields<'_>>) -> Option<u64> {
    if short != ELSEWHERE {
        return Some(u64::from(short));
    }
    match wide {
        Some(fields) => fields.u64(),
        // Without the field the number means itself.
        None => Some(u64::from(short)),
    }
}
