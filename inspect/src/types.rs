// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's structs and their members, by name.

use crate::error::Error;
use linpmem_kinfo::btf::{self, BtfError, Kind, Members, TypeRef};
use std::cell::RefCell;
use std::collections::HashMap;

/// Members without a name may be in each other this deep.
const MAX_NESTING: u32 = 16;
/// Members that are looked at for one name; the kernel's largest struct has less than a thousand.
const MAX_SEARCHED: u32 = 1 << 16;

/// A kernel's types.
#[derive(Debug)]
pub struct Types<'a> {
    btf: btf::Types<'a>,
    structs: HashMap<&'a str, TypeRef>,
    /// What was looked for before; `None` if it does not exist.
    fields: RefCell<HashMap<(TypeRef, &'static str), Option<Field>>>,
}

/// A member, however deep within a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bytes from the start of the struct to it; of a bit field, to the byte with its first bit.
    pub offset: u64,
    /// The first bit in that byte, and how many there are, of a bit field.
    pub bits: Option<(u32, u32)>,
    /// Its type.
    pub type_ref: TypeRef,
}

impl<'a> Types<'a> {
    /// The types in `bytes`, as in /sys/kernel/btf/vmlinux.
    ///
    /// # Errors
    /// When `bytes` are not BTF, or damaged.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let btf = btf::Types::parse(bytes)?;
        let mut structs = HashMap::new();
        for type_ref in btf.refs() {
            // A name that cannot be read is one that nobody looks for.
            if let Ok((name, Kind::Composite { .. })) = btf.get(type_ref) {
                if !name.is_empty() {
                    structs.entry(name).or_insert(type_ref);
                }
            }
        }
        Ok(Self {
            btf,
            structs,
            fields: RefCell::default(),
        })
    }

    /// The types without names.
    #[must_use]
    pub const fn btf(&self) -> &btf::Types<'a> {
        &self.btf
    }

    /// The struct or union `name`.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, name: &'static str) -> Result<TypeRef, Error> {
        let found = self.structs.get(name).copied();
        found.ok_or(Error::NoStruct(name))
    }

    /// The member `path` of `of`: names with dots between them, each a member of what the one
    /// before it is. Members of structs and unions without a name are members of what they
    /// are in.
    ///
    /// # Errors
    /// If there is none, or the types are damaged.
    pub fn field(&self, of: TypeRef, path: &'static str) -> Result<Field, Error> {
        let missing = || Error::NoMember {
            of: self.describe(of),
            member: path,
        };
        if let Some(found) = self.fields.borrow().get(&(of, path)) {
            return found.ok_or_else(missing);
        }
        let found = self.resolve(of, path)?;
        self.fields.borrow_mut().insert((of, path), found);
        found.ok_or_else(missing)
    }

    /// The member `path` of the struct `name`.
    ///
    /// # Errors
    /// As [`find`](Self::find) and [`field`](Self::field).
    pub fn member(&self, name: &'static str, path: &'static str) -> Result<Field, Error> {
        self.field(self.find(name)?, path)
    }

    /// Bytes of a type.
    ///
    /// # Errors
    /// If the types are damaged.
    pub fn size(&self, of: TypeRef) -> Result<u64, Error> {
        let mut count = 1_u64;
        let mut of = of;
        for _ in 0..MAX_NESTING {
            let size = match self.btf.bare(of)?.kind {
                Kind::Int { size, .. }
                | Kind::Float { size }
                | Kind::Composite { size, .. }
                | Kind::Enum { size, .. } => u64::from(size),
                Kind::Pointer(_) => 8,
                Kind::Array {
                    element,
                    count: elements,
                } => {
                    count = count.saturating_mul(u64::from(elements));
                    of = element;
                    continue;
                }
                _ => 0,
            };
            return Ok(count.saturating_mul(size));
        }
        Ok(0)
    }

    /// How many elements an array has.
    pub(crate) fn count(&self, of: TypeRef) -> Result<u64, Error> {
        match self.btf.bare(of)?.kind {
            Kind::Array { count, .. } => Ok(u64::from(count)),
            _ => Ok(0),
        }
    }

    /// The constant `name` of the enumeration `of`, if there is one that is small.
    pub(crate) fn constant(&self, of: &str, name: &str) -> Option<u32> {
        let values = self
            .btf
            .refs()
            .find_map(|type_ref| match self.btf.get(type_ref) {
                Ok((found, Kind::Enum { values, .. })) if found == of => Some((type_ref, values)),
                _ => None,
            });
        let (type_ref, values) = values?;
        let mut values = values.iter();
        let (_, value) = values.find(|&(text, _)| {
            let found = self.btf.text(type_ref.set, text);
            found.is_ok_and(|found| found == name)
        })?;
        u32::try_from(value).ok()
    }

    /// What a type is, for a message.
    pub(crate) fn describe(&self, of: TypeRef) -> String {
        match self.btf.bare(of) {
            Ok(bare) => {
                let what = match bare.kind {
                    Kind::Composite { is_union: true, .. } | Kind::Forward { is_union: true } => {
                        "union"
                    }
                    Kind::Composite { .. } | Kind::Forward { .. } => "struct",
                    Kind::Pointer(_) => "a pointer",
                    Kind::Array { .. } => "an array",
                    Kind::Int { .. } | Kind::Enum { .. } => "a number",
                    _ => "of another type",
                };
                let name = if bare.name.is_empty() {
                    bare.alias.unwrap_or("")
                } else {
                    bare.name
                };
                format!("{what} {name}").trim_end().to_owned()
            }
            Err(_) => "of a damaged type".to_owned(),
        }
    }

    fn resolve(&self, of: TypeRef, path: &str) -> Result<Option<Field>, BtfError> {
        let mut offset = 0_u64;
        let mut found = None;
        let mut of = of;
        for name in path.split('.') {
            let Kind::Composite { members, .. } = self.btf.bare(of)?.kind else {
                return Ok(None);
            };
            let mut left = MAX_SEARCHED;
            let member = self.search(members, name, 0, &mut left)?;
            let Some((bit_offset, bits, type_ref)) = member else {
                return Ok(None);
            };
            offset = offset.saturating_add(bit_offset / 8);
            let within = u32::try_from(bit_offset % 8).unwrap_or(0);
            found = Some(Field {
                offset,
                bits: bits.map(|bits| (within, bits)),
                type_ref,
            });
            of = type_ref;
        }
        Ok(found)
    }

    /// The bits from the start to the member `name`, its bits, and its type. Types that are in
    /// each other more than once have more members than anyone can look at: `left` are.
    fn search(
        &self,
        members: Members<'_>,
        name: &str,
        depth: u32,
        left: &mut u32,
    ) -> Result<Option<(u64, Option<u32>, TypeRef)>, BtfError> {
        for member in members.iter() {
            let Some(rest) = left.checked_sub(1) else {
                return Ok(None);
            };
            *left = rest;
            let start = u64::from(member.bit_offset);
            if member.name != 0 {
                if self.btf.text(member.type_ref.set, member.name)? == name {
                    return Ok(Some((start, member.bits, member.type_ref)));
                }
                continue;
            }
            if depth == MAX_NESTING {
                continue;
            }
            if let Kind::Composite { members, .. } = self.btf.bare(member.type_ref)?.kind {
                let found = self.search(members, name, depth + 1, left)?;
                if let Some((within, bits, type_ref)) = found {
                    return Ok(Some((start + within, bits, type_ref)));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Btf, Of};
    use std::time::{Duration, Instant};

    #[test]
    fn structs_that_are_in_each_other_many_times_are_searched_for_a_moment_alone() {
        const NAMES: [&str; 14] = [
            "?a", "?b", "?c", "?d", "?e", "?f", "?g", "?h", "?i", "?j", "?k", "?l", "?m", "?n",
        ];
        let mut btf = Btf::new();
        // Ten of the next one in each: 10^13 members.
        for pair in NAMES.windows(2) {
            let inner = [("", Of::Struct(pair[1]), 0); 10];
            btf.structure(pair[0], 8, &inner);
        }
        btf.structure("?n", 8, &[("near", Of::Number(8), 0)])
            .structure("thing", 8, &[("", Of::Struct("?a"), 0)]);
        let bytes = btf.bytes();
        let types = Types::parse(&bytes).unwrap();
        let begin = Instant::now();
        assert!(types.member("thing", "absent").is_err());
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(types.member("thing", "near").unwrap().offset, 0);
    }
}
