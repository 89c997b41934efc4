// SPDX-License-Identifier: MIT OR Apache-2.0
//! A type as BTF has it: `struct btf_type` and what follows it.

use super::bytes::u32_at;

/// A type of one of several sets: the kernel's, and those of its modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TypeRef {
    /// 0 for the kernel's.
    pub(crate) set: u32,
    /// 0 is `void`.
    pub(crate) id: u32,
}

/// What a type is. Numbers of bytes are called `size`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// `void`.
    Void,
    /// An integer, a character or a truth value.
    Int {
        /// Bytes.
        size: u32,
        /// Where its value begins, in bits: not 0 only for bit fields of old BTF.
        bit_offset: u32,
        /// How many bits are of value.
        bits: u32,
        /// Below zero, too.
        is_signed: bool,
        /// `_Bool`.
        is_bool: bool,
    },
    /// A floating-point number of this many bytes.
    Float {
        /// Bytes.
        size: u32,
    },
    /// A pointer.
    Pointer(TypeRef),
    /// An array.
    Array {
        /// Of what.
        element: TypeRef,
        /// How many.
        count: u32,
    },
    /// A struct or a union.
    Composite {
        /// All members lie at the beginning.
        is_union: bool,
        /// Bytes.
        size: u32,
        /// What is in it.
        members: Members<'a>,
    },
    /// An enumeration.
    Enum {
        /// Bytes.
        size: u32,
        /// Some values are below zero.
        is_signed: bool,
        /// Its constants.
        values: Values<'a>,
    },
    /// A struct or union that is only named here.
    Forward {
        /// Which of them.
        is_union: bool,
    },
    /// Another name.
    Typedef(TypeRef),
    /// `const`, `volatile`, `restrict`, or a tag.
    Modifier(TypeRef),
    /// A function, or its prototype.
    Function,
    /// A variable of this type.
    Variable(TypeRef),
    /// What is no type: a section of variables, a tag of a declaration.
    Other,
}

/// The members of a struct or union.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'a> {
    pub(crate) set: u32,
    pub(crate) has_sizes: bool,
    pub(crate) records: &'a [u8],
}

/// A member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Where its name is; 0 for none.
    pub(crate) name: u32,
    /// Its type, as its set numbers it.
    pub(crate) type_ref: TypeRef,
    /// Where it begins.
    pub(crate) bit_offset: u32,
    /// Bits, if it is a bit field.
    pub(crate) bits: Option<u32>,
}

impl<'a> Members<'a> {
    /// All of them, in their order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Member> + 'a {
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
pub(crate) struct Values<'a> {
    pub(crate) is_signed: bool,
    /// 8 bytes each, or 12 with 64-bit values.
    pub(crate) is_wide: bool,
    pub(crate) records: &'a [u8],
}

impl<'a> Values<'a> {
    /// The places of the names, and the values.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u32, i128)> + 'a {
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
