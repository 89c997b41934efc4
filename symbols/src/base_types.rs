// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base types: integers, characters, pointers and the like.

use linpmem_kinfo::btf::{BtfError, Kind, Types};
use serde::Serialize;
use std::collections::BTreeMap;

/// A base type as the file describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BaseType {
    size: u32,
    signed: bool,
    kind: &'static str,
    endian: &'static str,
}

/// The base types of 64-bit Linux that Volatility asks for by name, whether or not the
/// kernel's BTF has them.
pub(crate) const ALWAYS: &[(&str, u32, bool, &str)] = &[
    ("void", 0, false, "void"),
    ("pointer", 8, false, "int"),
    ("_Bool", 1, false, "bool"),
    ("char", 1, true, "char"),
    ("signed char", 1, true, "char"),
    ("unsigned char", 1, false, "char"),
    ("short int", 2, true, "int"),
    ("short unsigned int", 2, false, "int"),
    ("int", 4, true, "int"),
    ("unsigned int", 4, false, "int"),
    ("long int", 8, true, "int"),
    ("long unsigned int", 8, false, "int"),
    ("long long int", 8, true, "int"),
    ("long long unsigned int", 8, false, "int"),
];

/// All base types by name.
pub(crate) fn base_types<'a>(types: &Types<'a>) -> Result<BTreeMap<&'a str, BaseType>, BtfError> {
    let base = |size, signed, kind| BaseType {
        size,
        signed,
        kind,
        endian: "little",
    };
    let mut found = BTreeMap::new();
    for type_ref in types.refs() {
        let (name, kind) = types.get(type_ref)?;
        let name = usual_name(name);
        let one = match kind {
            Kind::Int {
                is_bool: true,
                size,
                ..
            } => base(size, false, "bool"),
            Kind::Int {
                size, is_signed, ..
            } => {
                let is_char = size == 1 && name.ends_with("char");
                base(size, is_signed, if is_char { "char" } else { "int" })
            }
            Kind::Float { size } => base(size, true, "float"),
            _ => continue,
        };
        if !name.is_empty() {
            found.entry(name).or_insert(one);
        }
    }
    for &(name, size, signed, kind) in ALWAYS {
        found.entry(name).or_insert(base(size, signed, kind));
    }
    Ok(found)
}

/// gcc's name for a type that clang names differently: Volatility knows gcc's.
pub(crate) fn usual_name(name: &str) -> &str {
    match name {
        "short" => "short int",
        "unsigned short" => "short unsigned int",
        "long" => "long int",
        "unsigned long" => "long unsigned int",
        "long long" => "long long int",
        "unsigned long long" => "long long unsigned int",
        "unsigned __int128" => "__int128 unsigned",
        _ => name,
    }
}

/// The integer type of an enumeration of `size` bytes; 4 bytes for odd sizes.
pub(crate) fn integer(size: u32, is_signed: bool) -> &'static str {
    match (size, is_signed) {
        (1, false) => "unsigned char",
        (1, true) => "signed char",
        (2, false) => "short unsigned int",
        (2, true) => "short int",
        (8, false) => "long unsigned int",
        (8, true) => "long int",
        (_, false) => "unsigned int",
        (_, true) => "int",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_compilers_are_one() {
        assert_eq!(usual_name("unsigned long"), "long unsigned int");
        assert_eq!(usual_name("long unsigned int"), "long unsigned int");
    }

    #[test]
    fn every_integer_of_an_enumeration_is_listed() {
        for size in [1, 2, 4, 8, 3] {
            for is_signed in [false, true] {
                let name = integer(size, is_signed);
                let found = ALWAYS.iter().find(|(always, ..)| *always == name);
                assert!(found.is_some_and(|(_, _, signed, _)| *signed == is_signed));
            }
        }
    }
}
