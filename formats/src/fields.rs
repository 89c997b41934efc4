// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers in on-disk structures, read one after the other.

/// A cursor over the fields of a structure. Each method takes one field off the
/// front and gives `None` if too few bytes are left. Numbers are little-endian
/// unless a method's name says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn u64_be(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

/// The little-endian number at `offset`; `None` if it lies beyond `bytes`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Fields(bytes.get(offset..)?).u32()
}

/// As [`u32_at`].
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Fields(bytes.get(offset..)?).u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_each_other_and_end_with_the_structure() {
        let mut fields = Fields(b"\x01\x00\x02\x00\x00\x00ab\0\0\0\0\0\0\0\x03\x04");
        assert_eq!(fields.u16(), Some(1));
        assert_eq!(fields.u32(), Some(2));
        assert_eq!(fields.take(2), Some(&b"ab"[..]));
        assert_eq!(fields.u64_be(), Some(3));
        assert_eq!(fields.u64(), None);
        assert_eq!(fields.u16(), None);
        assert_eq!(fields.take(1), Some(&[4][..]));
    }

    #[test]
    fn numbers_are_found_by_offset() {
        let bytes = b"\0\x01\x02\x03\x04\x05\x06\x07\x08";
        assert_eq!(u32_at(bytes, 1), Some(0x0403_0201));
        assert_eq!(u64_at(bytes, 1), Some(0x0807_0605_0403_0201));
        assert_eq!(u64_at(bytes, 2), None);
        assert_eq!(u32_at(bytes, 10), None);
    }
}
