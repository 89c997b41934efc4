// SPDX-License-Identifier: MIT OR Apache-2.0
//! A type as BTF describes it: `struct btf_type` and what follows it.

use super::bytes::u32_at;

/// A type, by its number in one of several sets: the kernel's, or a module's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeRef {
    /// 0 for the kernel's; modules count from 1 in the order in which they were added.
    pub set: u32,
    /// 0 is `void`.
    pub id: u32,
}

/// What a type is. Numbers of bytes are called `size`.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// `void`.
    Void,
    /// An integer, a character or a truth value.
    Int {
        /// Bytes.
        size: u32,
        /// Where its value begins, in bits; other than 0 only for bit fields in old
        /// BTF.
        bit_offset: u32,
        /// How many bits its value has.
        bits: u32,
        /// Whether it can be negative.
        is_signed: bool,
        /// Whether it is `_Bool`.
        is_bool: bool,
    },
    /// A floating-point number.
    Float {
        /// Bytes.
        size: u32,
    },
    /// A pointer.
    Pointer(TypeRef),
    /// An array.
    Array {
        /// The type of its elements.
        element: TypeRef,
        /// How many elements.
        count: u32,
    },
    /// A struct or a union.
    Composite {
        /// Whether all members begin at offset 0.
        is_union: bool,
        /// Bytes.
        size: u32,
        /// Its members.
        members: Members<'a>,
    },
    /// An enumeration.
    Enum {
        /// Bytes.
        size: u32,
        /// Whether values can be negative.
        is_signed: bool,
        /// Its constants.
        values: Values<'a>,
    },
    /// A struct or union that is declared and not defined.
    Forward {
        /// Whether it is a union.
        is_union: bool,
    },
    /// Another name for a type.
    Typedef(TypeRef),
    /// `const`, `volatile`, `restrict`, or a tag.
    Modifier(TypeRef),
    /// A function, or its prototype.
    Function,
    /// A variable of this type.
    Variable(TypeRef),
    /// An entry that describes no type: a section of variables, a tag of a
    /// declaration.
    Other,
}

/// The members of a struct or union.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    pub(super) set: u32,
    pub(super) has_sizes: bool,
    pub(super) records: &'a [u8],
}

/// A member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Offset of its name, for [`Types::text`](super::Types::text); 0 for none.
    pub name: u32,
    /// Its type, as its own set numbers it.
    pub type_ref: TypeRef,
    /// Where it begins, in bits.
    pub bit_offset: u32,
    /// How many bits it has, if it is a bit field.
    pub bits: Option<u32>,
}

impl<'a> Members<'a> {
    /// The members, in their order.
    pub fn iter(self) -> impl Iterator<Item = Member> + 'a {
        self.records.chunks_exact(12).filter_map(move |record| {
            let place = u32_at(record, 8)?;
            let (bit_offset, bits) = match self.has_sizes {
                true => (place & 0x00ff_ffff, place >> 24),
                false => (place, 0),
            };
            Some(Member {
                name: u32_at(record, 0)?,
                type_ref: TypeRef {
                    set: self.set,
                    id: u32_at(record, 4)?,
                },
                bit_offset,
                bits: (bits != 0).then_some(bits),
            })
        })
    }
}

/// The constants of an enumeration.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    pub(super) is_signed: bool,
    /// 8 bytes each, or 12 with 64-bit values.
    pub(super) is_wide: bool,
    pub(super) records: &'a [u8],
}

impl<'a> Values<'a> {
    /// Whether the values of an enumeration of `size` bytes are here in full. Before there were
    /// 64-bit values in BTF (pahole 1.24), only the lower half of each was kept.
    #[must_use]
    pub const fn are_whole(self, size: u32) -> bool {
        self.is_wide || size <= 4
    }

    /// Offsets of the names, and the values.
    pub fn iter(self) -> impl Iterator<Item = (u32, i128)> + 'a {
        let len = if self.is_wide { 12 } else { 8 };
        self.records.chunks_exact(len).filter_map(move |record| {
            let low = u32_at(record, 4)?;
            let value = match (self.is_wide, self.is_signed) {
                (false, false) => i128::from(low),
                (false, true) => i128::from(i32::from_le_bytes(low.to_le_bytes())),
                (true, is_signed) => {
                    let wide = u64::from(u32_at(record, 8)?) << 32 | u64::from(low);
                    match is_signed {
                        true => i128::from(i64::from_le_bytes(wide.to_le_bytes())),
                        false => i128::from(wide),
                    }
                }
            };
            Some((u32_at(record, 0)?, value))
        })
    }
}
