// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of the file, written one after another: none is held in memory.

use crate::base_types::integer;
use crate::descriptor::Descriptor;
use crate::file::SymbolFile;
use linpmem_kinfo::btf::{Kind, Member, TypeRef, Values};
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::json;

/// The version of Volatility's schema that the file follows.
const SCHEMA: &str = "6.2.0";

impl Serialize for SymbolFile<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("metadata", &self.metadata())?;
        map.serialize_entry("base_types", &self.base_types)?;
        map.serialize_entry(
            "user_types",
            &Listed {
                file: self,
                enums: false,
            },
        )?;
        map.serialize_entry(
            "enums",
            &Listed {
                file: self,
                enums: true,
            },
        )?;
        map.serialize_entry("symbols", &Symbols(self))?;
        map.end()
    }
}

impl SymbolFile<'_> {
    fn metadata(&self) -> serde_json::Value {
        let origin = |kind: &str, origin: &crate::Origin| {
            json!({
                "kind": kind,
                "name": origin.name,
                "hash_type": "sha256",
                "hash_value": origin.sha256,
            })
        };
        // The schema does not know BTF; what it calls dwarf comes closest.
        let types: Vec<_> = self
            .types_from
            .iter()
            .map(|one| origin("dwarf", one))
            .collect();
        json!({
            "linux": {
                "symbols": [origin("system-map", &self.symbols_from)],
                "types": types,
            },
            "producer": { "name": "linpmem", "version": env!("CARGO_PKG_VERSION") },
            "format": SCHEMA,
        })
    }
}

/// Either the structs and unions, or the enumerations.
struct Listed<'f, 'a> {
    file: &'f SymbolFile<'a>,
    enums: bool,
}

impl Listed<'_, '_> {
    fn is_here(&self, kind: &Kind<'_>) -> bool {
        match kind {
            Kind::Composite { .. } => !self.enums,
            Kind::Enum { .. } => self.enums,
            _ => false,
        }
    }
}

impl Serialize for Listed<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let SymbolFile { types, names, .. } = self.file;
        let mut map = serializer.serialize_map(None)?;
        let mut named: Vec<_> = names.iter().collect();
        named.sort_unstable();
        for (name, type_ref) in named {
            let (_, kind) = types.get(type_ref).map_err(S::Error::custom)?;
            if self.is_here(&kind) {
                map.serialize_entry(
                    name,
                    &Entry {
                        file: self.file,
                        type_ref,
                        kind,
                    },
                )?;
            }
        }
        for type_ref in types.refs() {
            let (name, kind) = types.get(type_ref).map_err(S::Error::custom)?;
            if !self.is_here(&kind) {
                continue;
            }
            let name = names.own_name(type_ref, name);
            if names.find(&name) != Some(type_ref) {
                map.serialize_entry(
                    &name,
                    &Entry {
                        file: self.file,
                        type_ref,
                        kind,
                    },
                )?;
            }
        }
        map.end()
    }
}

/// A struct, a union or an enumeration.
struct Entry<'f, 'a> {
    file: &'f SymbolFile<'a>,
    type_ref: TypeRef,
    kind: Kind<'a>,
}

impl Serialize for Entry<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        match self.kind {
            Kind::Enum {
                size, is_signed, ..
            } => {
                map.serialize_entry("size", &size)?;
                map.serialize_entry("base", integer(size, is_signed))?;
                map.serialize_entry("constants", &Constants(self))?;
            }
            Kind::Composite { size, is_union, .. } => {
                map.serialize_entry("size", &size)?;
                map.serialize_entry("fields", &Fields(self))?;
                map.serialize_entry("kind", if is_union { "union" } else { "struct" })?;
            }
            _ => {}
        }
        map.end()
    }
}

struct Constants<'f, 'a>(&'f Entry<'f, 'a>);

impl Serialize for Constants<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Entry {
            file,
            type_ref,
            kind,
        } = self.0;
        if let &Kind::Enum { values, size, .. } = kind {
            // A constant that is left out is better than one that is wrong.
            let values = values.are_whole(size).then_some(values);
            for (name, value) in values.into_iter().flat_map(Values::iter) {
                let name = file
                    .types
                    .text(type_ref.set, name)
                    .map_err(S::Error::custom)?;
                map.serialize_entry(name, &value)?;
            }
        }
        map.end()
    }
}

struct Fields<'f, 'a>(&'f Entry<'f, 'a>);

impl Serialize for Fields<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Entry {
            file,
            type_ref,
            kind,
        } = self.0;
        let mut unnamed = 0_u32;
        if let Kind::Composite { members, .. } = kind {
            for member in members.iter() {
                let name = file
                    .types
                    .text(type_ref.set, member.name)
                    .map_err(S::Error::custom)?;
                let field = Field::of(file, member).map_err(S::Error::custom)?;
                if !name.is_empty() {
                    map.serialize_entry(name, &field)?;
                } else if field.is_composite() {
                    // Padding has no name either, and is not a field.
                    let name = format!("unnamed_field_{unnamed}");
                    map.serialize_entry(
                        &name,
                        &Field {
                            anonymous: true,
                            ..field
                        },
                    )?;
                    unnamed += 1;
                }
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Field {
    #[serde(rename = "type")]
    descriptor: Descriptor,
    offset: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    anonymous: bool,
}

impl Field {
    fn of(file: &SymbolFile<'_>, member: Member) -> Result<Self, crate::BtfError> {
        let (offset, descriptor) = Descriptor::of_member(&file.types, &file.names, member)?;
        Ok(Self {
            descriptor,
            offset,
            anonymous: false,
        })
    }

    fn is_composite(&self) -> bool {
        matches!(
            self.descriptor,
            Descriptor::Struct { .. } | Descriptor::Union { .. }
        )
    }
}

struct Symbols<'f, 'a>(&'f SymbolFile<'a>);

impl Serialize for Symbols<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Symbol<'s> {
            #[serde(rename = "type")]
            descriptor: &'s Descriptor,
            address: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            constant_data: Option<&'s str>,
        }
        let file = self.0;
        let untyped = Descriptor::base("void");
        let mut map = serializer.serialize_map(Some(file.symbols.len()))?;
        for (name, address) in file.symbols.iter() {
            let symbol = Symbol {
                descriptor: file.symbol_types.find(name).unwrap_or(&untyped),
                address,
                constant_data: (name == "linux_banner").then_some(file.banner.as_str()),
            };
            map.serialize_entry(name, &symbol)?;
        }
        map.end()
    }
}
