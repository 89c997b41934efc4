// SPDX-License-Identifier: MIT OR Apache-2.0
//! The members of a kernel's structs, by name, with their sizes checked.

use crate::error::FitError;
use linpmem_kinfo::btf::{BtfError, Kind, Members, TypeRef, Types};
use std::collections::BTreeMap;

/// How deep structs are nested, and arrays of arrays.
const MAX_DEPTH: u32 = 16;

/// What a member must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A pointer.
    Pointer,
    /// A number of so many bytes, or a struct around one. Counters, sets of bits and user
    /// identifiers are wrapped in structs.
    Bytes(u64),
    /// A number of 32 or 64 bits, of which the lower 32 are used.
    Low32,
    /// An array of such numbers.
    ArrayOf(u64),
    /// Anything.
    Any,
}

/// The structs and enumerations that fitting needs.
pub(crate) struct Structs<'a> {
    types: Types<'a>,
    origin: String,
    structs: BTreeMap<&'static str, Vec<TypeRef>>,
    enumerators: BTreeMap<&'static str, Vec<i128>>,
    enums: Vec<&'static str>,
}

/// A member that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    bit_offset: u64,
    type_ref: TypeRef,
    is_bit_field: bool,
}

impl<'a> Structs<'a> {
    /// Finds the `structs`, `enums` and `enumerators` in one pass over all types.
    pub(crate) fn of(
        btf: &'a [u8],
        origin: &str,
        structs: &[&'static str],
        enums: &[&'static str],
        enumerators: &[&'static str],
    ) -> Result<Self, FitError> {
        let unusable = |source| FitError::Btf {
            origin: origin.to_owned(),
            source,
        };
        let types = Types::parse(btf).map_err(unusable)?;
        let mut found = Self {
            origin: origin.to_owned(),
            structs: BTreeMap::new(),
            enumerators: BTreeMap::new(),
            enums: Vec::new(),
            types,
        };
        let wanted_structs: BTreeMap<&str, &'static str> =
            structs.iter().map(|name| (*name, *name)).collect();
        let wanted_values: BTreeMap<&str, &'static str> =
            enumerators.iter().map(|name| (*name, *name)).collect();
        for type_ref in found.types.refs() {
            let (name, kind) = found.types.get(type_ref).map_err(unusable)?;
            match kind {
                Kind::Composite { .. } => {
                    if let Some(name) = wanted_structs.get(name) {
                        found.structs.entry(name).or_default().push(type_ref);
                    }
                }
                Kind::Enum { values, .. } => {
                    if let Some(name) = enums.iter().find(|wanted| **wanted == name) {
                        found.enums.push(name);
                    }
                    for (offset, value) in values.iter() {
                        let text = found.types.text(type_ref.set, offset).map_err(unusable)?;
                        if let Some(name) = wanted_values.get(text) {
                            found.enumerators.entry(name).or_default().push(value);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Where the types came from.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether the kernel has an enumeration of that name.
    pub(crate) fn has_enum(&self, name: &str) -> bool {
        self.enums.contains(&name)
    }

    /// The value of an enumerator, if there is one.
    pub(crate) fn known_enumerator(&self, name: &str) -> Result<Option<u32>, FitError> {
        let Some((first, more)) = self.enumerators.get(name).and_then(|all| all.split_first())
        else {
            return Ok(None);
        };
        let expected = "one value of 32 bits";
        if let Some(other) = more.iter().find(|other| *other != first) {
            let found = format!("the values {first} and {other}");
            return Err(layout(format!("the enumerator {name}"), found, expected));
        }
        let value = u32::try_from(*first).map_err(|_| {
            layout(
                format!("the enumerator {name}"),
                first.to_string(),
                expected,
            )
        })?;
        Ok(Some(value))
    }

    /// The value of an enumerator.
    pub(crate) fn enumerator(&self, name: &str) -> Result<u32, FitError> {
        let found = self.known_enumerator(name)?;
        found.ok_or_else(|| layout(format!("the enumerator {name}"), "nothing", "it"))
    }

    /// Whether the kernel has a struct of that name.
    pub(crate) fn has_struct(&self, name: &str) -> bool {
        self.structs.contains_key(name)
    }

    /// The size of a struct.
    pub(crate) fn size(&self, name: &str) -> Result<u32, FitError> {
        let mut sizes = Vec::new();
        for type_ref in self.structs.get(name).into_iter().flatten() {
            let size = self.size_of(*type_ref, 0)?;
            sizes.push(size);
        }
        self.same(&format!("struct {name}"), &sizes)?
            .ok_or_else(|| layout(format!("struct {name}"), "no definition", "one"))
            .and_then(|size| narrow(&format!("struct {name}"), size))
    }

    /// The offset of the member `path` of a struct, in bytes. Members of members are
    /// separated by dots.
    pub(crate) fn offset(&self, name: &str, path: &str, shape: Shape) -> Result<u32, FitError> {
        let place = format!("struct {name}.{path}");
        if !self.has_struct(name) {
            return Err(layout(format!("struct {name}"), "no definition", "one"));
        }
        self.known_offset(name, path, shape)?
            .ok_or_else(|| layout(place, "no such member", "it"))
    }

    /// As [`Self::offset`], if the kernel has the struct and the member.
    pub(crate) fn known_offset(
        &self,
        name: &str,
        path: &str,
        shape: Shape,
    ) -> Result<Option<u32>, FitError> {
        let place = format!("struct {name}.{path}");
        let mut offsets = Vec::new();
        for type_ref in self.structs.get(name).into_iter().flatten() {
            let mut at = Found {
                bit_offset: 0,
                type_ref: *type_ref,
                is_bit_field: false,
            };
            let mut is_there = true;
            for member in path.split('.') {
                match self.member(at.type_ref, member, 0)? {
                    Some(found) => {
                        at = Found {
                            bit_offset: at.bit_offset + found.bit_offset,
                            ..found
                        };
                    }
                    None => is_there = false,
                }
                if !is_there {
                    break;
                }
            }
            if !is_there {
                offsets.push(None);
                continue;
            }
            self.check(&place, at, shape)?;
            let struct_size = self.size_of(*type_ref, 0)?;
            let offset = at.bit_offset / 8;
            let end = offset + self.size_of(at.type_ref, 0)?;
            if end > struct_size {
                let found = format!("bytes up to {end}");
                return Err(layout(place, found, format!("at most {struct_size}")));
            }
            offsets.push(Some(offset));
        }
        match self.same(&place, &offsets)?.flatten() {
            Some(offset) => narrow(&place, offset).map(Some),
            None => Ok(None),
        }
    }

    /// The size of a member.
    pub(crate) fn member_size(&self, name: &str, path: &str) -> Result<u64, FitError> {
        for type_ref in self.structs.get(name).into_iter().flatten() {
            if let Some(found) = self.member(*type_ref, path, 0)? {
                return self.size_of(found.type_ref, 0);
            }
        }
        Err(layout(
            format!("struct {name}.{path}"),
            "no such member",
            "it",
        ))
    }

    /// The one value that all definitions of a struct agree on.
    fn same<T: PartialEq + Copy + std::fmt::Debug>(
        &self,
        place: &str,
        all: &[T],
    ) -> Result<Option<T>, FitError> {
        let Some((first, more)) = all.split_first() else {
            return Ok(None);
        };
        match more.iter().find(|other| *other != first) {
            Some(other) => Err(layout(
                place,
                format!("several definitions ({first:?}, {other:?})"),
                "one",
            )),
            None => Ok(Some(*first)),
        }
    }

    /// The member `name`, looked for in members without a name, too.
    fn member(
        &self,
        structure: TypeRef,
        name: &str,
        depth: u32,
    ) -> Result<Option<Found>, FitError> {
        let Kind::Composite { members, .. } = self.bare(structure)? else {
            return Ok(None);
        };
        self.among(members, name, depth)
    }

    fn among(
        &self,
        members: Members<'a>,
        name: &str,
        depth: u32,
    ) -> Result<Option<Found>, FitError> {
        if depth > MAX_DEPTH {
            return Err(FitError::unusable(
                &self.origin,
                format!("structs are nested more than {MAX_DEPTH} deep"),
            ));
        }
        for member in members.iter() {
            let text = self.text(member.type_ref.set, member.name)?;
            let bit_offset = u64::from(member.bit_offset);
            if text == name {
                return Ok(Some(Found {
                    bit_offset,
                    type_ref: member.type_ref,
                    is_bit_field: member.bits.is_some(),
                }));
            }
            if text.is_empty() {
                if let Some(inner) = self.member(member.type_ref, name, depth + 1)? {
                    return Ok(Some(Found {
                        bit_offset: bit_offset + inner.bit_offset,
                        ..inner
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Whether a member has the shape that the module needs.
    fn check(&self, place: &str, found: Found, shape: Shape) -> Result<(), FitError> {
        let refuse = |found: String, expected: String| Err(layout(place, found, expected));
        if found.is_bit_field || found.bit_offset % 8 != 0 {
            return refuse(
                "a bit field".to_owned(),
                "a member of whole bytes".to_owned(),
            );
        }
        let size = self.size_of(found.type_ref, 0)?;
        let kind = self.bare(found.type_ref)?;
        let is_number = matches!(
            kind,
            Kind::Int { .. } | Kind::Enum { .. } | Kind::Composite { .. }
        );
        let what = match kind {
            Kind::Pointer(_) => "a pointer",
            Kind::Array { .. } => "an array",
            Kind::Composite { .. } => "a struct",
            Kind::Int { .. } | Kind::Enum { .. } => "a number",
            _ => "something else",
        };
        let found_text = format!("{what} of {size} bytes");
        match shape {
            Shape::Any => Ok(()),
            Shape::Pointer if matches!(kind, Kind::Pointer(_)) => Ok(()),
            Shape::Pointer => refuse(found_text, "a pointer".to_owned()),
            Shape::Bytes(wanted) if is_number && size == wanted => Ok(()),
            Shape::Bytes(wanted) => refuse(found_text, format!("a number of {wanted} bytes")),
            Shape::Low32 if is_number && (size == 4 || size == 8) => Ok(()),
            Shape::Low32 => refuse(found_text, "a number of 4 or 8 bytes".to_owned()),
            Shape::ArrayOf(wanted) => match kind {
                Kind::Array { element, .. } => match self.size_of(element, 0)? {
                    size if size == wanted => Ok(()),
                    size => refuse(
                        format!("an array of elements of {size} bytes"),
                        format!("elements of {wanted} bytes"),
                    ),
                },
                _ => refuse(
                    found_text,
                    format!("an array of elements of {wanted} bytes"),
                ),
            },
        }
    }

    /// The size of a type in bytes.
    fn size_of(&self, type_ref: TypeRef, depth: u32) -> Result<u64, FitError> {
        let unusable = |why: &str| FitError::unusable(&self.origin, why);
        if depth > MAX_DEPTH {
            return Err(unusable("arrays are nested too deep"));
        }
        match self.bare(type_ref)? {
            Kind::Int { size, .. }
            | Kind::Float { size }
            | Kind::Composite { size, .. }
            | Kind::Enum { size, .. } => Ok(u64::from(size)),
            Kind::Pointer(_) => Ok(8),
            Kind::Array { element, count } => self
                .size_of(element, depth + 1)?
                .checked_mul(u64::from(count))
                .ok_or_else(|| unusable("an array is larger than any memory")),
            _ => Err(unusable("a member has a type without a size")),
        }
    }

    fn bare(&self, type_ref: TypeRef) -> Result<Kind<'a>, FitError> {
        let bare = self.types.bare(type_ref);
        bare.map(|bare| bare.kind)
            .map_err(|source| self.error(source))
    }

    fn text(&self, set: u32, offset: u32) -> Result<&'a str, FitError> {
        let text = self.types.text(set, offset);
        text.map_err(|source| self.error(source))
    }

    fn error(&self, source: BtfError) -> FitError {
        FitError::Btf {
            origin: self.origin.clone(),
            source,
        }
    }
}

/// A struct that is not as the module needs it.
pub(crate) fn layout(
    place: impl Into<String>,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> FitError {
    FitError::Layout {
        place: place.into(),
        found: found.into(),
        expected: expected.into(),
    }
}

fn narrow(place: &str, number: u64) -> Result<u32, FitError> {
    u32::try_from(number).map_err(|_| layout(place, number.to_string(), "a number of 32 bits"))
}
