// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each struct, union and enumeration is called in the file.
//!
//! C has separate names for structs and typedefs, and each file of the kernel may
//! have a struct of its own by a name that another has too. The symbol file has
//! one name for each.

use linpmem_kinfo::btf::{BtfError, Kind, TypeRef, Types};
use std::collections::HashMap;

/// The names of all types that have one.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    /// What a name stands for.
    types: HashMap<&'a str, TypeRef>,
}

impl<'a> Names<'a> {
    /// Of two types of one name, the first keeps it; a struct's own name goes before
    /// a typedef.
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
            // Only the typedef next to the type.
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

    /// What `type_ref` is called by those who call it `alias`, its own name being
    /// `own`.
    pub(crate) fn called(&self, type_ref: TypeRef, own: &str, alias: Option<&str>) -> String {
        let is_its = |name: &&str| self.find(name) == Some(type_ref);
        match alias.filter(is_its) {
            Some(name) => name.to_owned(),
            None => self.own_name(type_ref, own),
        }
    }

    /// What `type_ref` is called in itself: a made-up name if it has none, or if an
    /// earlier type has it.
    pub(crate) fn own_name(&self, type_ref: TypeRef, own: &str) -> String {
        let TypeRef { set, id } = type_ref;
        match self.find(own) {
            _ if own.is_empty() => format!("unnamed_{set}_{id}"),
            Some(found) if found != type_ref => format!("{own}___{set}_{id}"),
            _ => own.to_owned(),
        }
    }
}

/// Whether it has an entry of its own, and is not described in place.
pub(crate) fn is_listed(kind: &Kind<'_>) -> bool {
    matches!(kind, Kind::Composite { .. } | Kind::Enum { .. })
}
