// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the file describes the type of a field or a symbol.

use crate::base_types::{integer, usual_name};
use crate::names::Names;
use linpmem_kinfo::btf::{BtfError, Kind, Member, TypeRef, Types};
use serde::Serialize;

/// A type in place: `{"kind": "pointer", "subtype": {…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Descriptor {
    Base {
        name: String,
    },
    Struct {
        name: String,
    },
    Union {
        name: String,
    },
    Enum {
        name: String,
    },
    Pointer {
        subtype: Box<Descriptor>,
    },
    Array {
        count: u32,
        subtype: Box<Descriptor>,
    },
    Bitfield {
        bit_position: u64,
        bit_length: u32,
        #[serde(rename = "type")]
        of: Box<Descriptor>,
    },
    Function,
}

/// How many pointers and arrays may lead to a type.
const MAX_DEPTH: u32 = 24;

impl Descriptor {
    pub(crate) fn base(name: &str) -> Self {
        Self::Base {
            name: name.to_owned(),
        }
    }

    pub(crate) fn pointer_to(subtype: Self) -> Self {
        Self::Pointer {
            subtype: Box::new(subtype),
        }
    }

    pub(crate) fn array_of(count: u32, subtype: Self) -> Self {
        Self::Array {
            count,
            subtype: Box::new(subtype),
        }
    }

    /// Describes `type_ref`.
    pub(crate) fn of(
        types: &Types<'_>,
        names: &Names<'_>,
        type_ref: TypeRef,
    ) -> Result<Self, BtfError> {
        Self::within(types, names, type_ref, MAX_DEPTH)
    }

    fn within(
        types: &Types<'_>,
        names: &Names<'_>,
        type_ref: TypeRef,
        depth: u32,
    ) -> Result<Self, BtfError> {
        let Some(depth) = depth.checked_sub(1) else {
            let (id, limit) = (type_ref.id, MAX_DEPTH);
            return Err(BtfError::TooDeep { id, limit });
        };
        let bare = types.bare(type_ref)?;
        let called = || names.called(bare.type_ref, bare.name, bare.alias);
        Ok(match bare.kind {
            Kind::Void | Kind::Typedef(_) | Kind::Modifier(_) | Kind::Other => Self::base("void"),
            Kind::Int {
                size, is_signed, ..
            } => match usual_name(bare.name) {
                "" => Self::base(integer(size, is_signed)),
                name => Self::base(name),
            },
            Kind::Float { .. } => Self::base(bare.name),
            Kind::Pointer(next) => Self::pointer_to(Self::within(types, names, next, depth)?),
            Kind::Array { element, count } => {
                Self::array_of(count, Self::within(types, names, element, depth)?)
            }
            Kind::Composite { is_union: true, .. } => Self::Union { name: called() },
            Kind::Composite { .. } => Self::Struct { name: called() },
            Kind::Enum { .. } => Self::Enum { name: called() },
            Kind::Forward { is_union } => {
                let name = bare.name.to_owned();
                match is_union {
                    true => Self::Union { name },
                    false => Self::Struct { name },
                }
            }
            Kind::Function => Self::Function,
            Kind::Variable(next) => Self::within(types, names, next, depth)?,
        })
    }

    /// The byte in which a member begins, and its description.
    pub(crate) fn of_member(
        types: &Types<'_>,
        names: &Names<'_>,
        member: Member,
    ) -> Result<(u64, Self), BtfError> {
        let described = Self::of(types, names, member.type_ref)?;
        let mut first_bit = u64::from(member.bit_offset);
        let mut length = member.bits;
        if let Kind::Int {
            size,
            bit_offset,
            bits,
            ..
        } = types.bare(member.type_ref)?.kind
        {
            // Old BTF: an integer of fewer bits than its bytes hold.
            let is_whole = u64::from(bits) == u64::from(size) * 8;
            if length.is_none() && bits != 0 && !is_whole {
                first_bit += u64::from(bit_offset);
                length = Some(bits);
            }
        }
        let byte = first_bit / 8;
        let (Some(bit_length), Self::Base { .. } | Self::Enum { .. }) = (length, &described) else {
            return Ok((byte, described));
        };
        let field = Self::Bitfield {
            bit_position: first_bit % 8,
            bit_length,
            of: Box::new(described),
        };
        Ok((byte, field))
    }
}
