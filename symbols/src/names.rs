// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of structs, unions and enumerations in the file.
//!
//! C keeps the names of structs and typedefs apart, and several source files of the
//! kernel may define different structs under one name. The symbol file has a single
//! set of names, each for one type.

use linpmem_kinfo::btf::{BtfError, Kind, TypeRef, Types};
use std::collections::HashMap;

/// The names of all types that have one.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    /// The type of each name.
    types: HashMap<&'a str, TypeRef>,
}

impl<'a> Names<'a> {
    /// Of two types with one name, the first keeps it; a struct's own name takes
    /// precedence over a typedef.
    pub(crate) fn of(types: &Types<'a>) -> Result<Self, BtfError> {
        let mut names = HashMap::new();
        for type_ref in types.refs() {
            let (name, kind) = types.get(type_ref)?;
            if !name.is_empty() && is_listed(&kind) {
                names.entry(name).or_insert(type_ref);
            }
        }
        for type_ref in types.refs() {
            let (name, kind) = types.get(type_ref)?;
            let Kind::Typedef(next) = kind else { continue };
            let bare = types.bare(next)?;
            // Only a typedef that refers to the type directly.
            if !name.is_empty() && bare.alias.is_none() && is_listed(&bare.kind) {
                names.entry(name).or_insert(bare.type_ref);
            }
        }
        Ok(Self { types: names })
    }

    /// All names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, TypeRef)> + '_ {
        self.types.iter().map(|(name, type_ref)| (*name, *type_ref))
    }

    /// The type called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<TypeRef> {
        self.types.get(name).copied()
    }

    /// The name of `type_ref` where it is used as `alias`; `own` is its own name.
    pub(crate) fn called(&self, type_ref: TypeRef, own: &str, alias: Option<&str>) -> String {
        let is_its = |name: &&str| self.find(name) == Some(type_ref);
        match alias.filter(is_its) {
            Some(name) => name.to_owned(),
            None => self.own_name(type_ref, own),
        }
    }

    /// The name of `type_ref` by itself: a made-up one if it has none, or if an earlier
    /// type has the same.
    pub(crate) fn own_name(&self, type_ref: TypeRef, own: &str) -> String {
        let TypeRef { set, id } = type_ref;
        match self.find(own) {
            _ if own.is_empty() => format!("unnamed_{set}_{id}"),
            Some(found) if found != type_ref => format!("{own}___{set}_{id}"),
            _ => own.to_owned(),
        }
    }
}

/// Whether the file has an entry for it, instead of a description in place.
pub(crate) fn is_listed(kind: &Kind<'_>) -> bool {
    matches!(kind, Kind::Composite { .. } | Kind::Enum { .. })
}
