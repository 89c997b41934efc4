// SPDX-License-Identifier: MIT OR Apache-2.0
//! BTF, the BPF Type Format: a kernel's own description of its types, as in
//! /sys/kernel/btf/.
//!
//! The layout is that of the kernel's `Documentation/bpf/btf.rst`. The bytes may come
//! out of an image and are hostile until checked: everything here takes time and
//! memory in proportion to them, and steps from type to type are counted.

mod bytes;
mod error;
mod header;
mod kind;
mod set;

pub use error::BtfError;
pub use kind::{Kind, Member, Members, TypeRef, Values};

use linpmem_phys::num::u32_as_usize;
use set::Set;

/// How many typedefs and qualifiers may lead to a type.
const MAX_STEPS: u32 = 64;

/// The types of a kernel, and of those of its modules that were added.
#[derive(Debug)]
pub struct Types<'a> {
    /// The kernel's is the first.
    sets: Vec<Set<'a>>,
}

/// A type without typedefs and qualifiers.
#[derive(Clone, Copy, Debug)]
pub struct Bare<'a> {
    /// The type.
    pub type_ref: TypeRef,
    /// What it is.
    pub kind: Kind<'a>,
    /// Its own name; empty for none.
    pub name: &'a str,
    /// The last name that was given to it on the way.
    pub alias: Option<&'a str>,
}

impl<'a> Types<'a> {
    /// The kernel's types, as in /sys/kernel/btf/vmlinux.
    ///
    /// # Errors
    /// When `bytes` are not BTF of a little-endian kernel, or damaged.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let sets = vec![Set::parse(bytes, None)?];
        Ok(Self { sets })
    }

    /// Adds a module's types, as in /sys/kernel/btf/MODULE. They continue the kernel's.
    ///
    /// # Errors
    /// When `bytes` are not BTF, or damaged; nothing is added then.
    pub fn add_module(&mut self, bytes: &'a [u8]) -> Result<(), BtfError> {
        let set = Set::parse(bytes, self.sets.first())?;
        self.sets.push(set);
        Ok(())
    }

    /// How many types there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sets.iter().map(|set| u32_as_usize(set.count())).sum()
    }

    /// Every type.
    pub fn refs(&self) -> impl Iterator<Item = TypeRef> + '_ {
        (0..)
            .zip(&self.sets)
            .flat_map(|(number, set)| set.ids().map(move |id| TypeRef { set: number, id }))
    }

    /// The type's name, empty if it has none, and what it is.
    ///
    /// # Errors
    /// If the type or its name does not exist.
    pub fn get(&self, type_ref: TypeRef) -> Result<(&'a str, Kind<'a>), BtfError> {
        let TypeRef { set, id } = self.home(type_ref);
        if id == 0 {
            return Ok(("void", Kind::Void));
        }
        let found = self.sets.get(u32_as_usize(set));
        let (name, kind) =
            found
                .and_then(|found| found.get(set, id))
                .ok_or(BtfError::NoSuchType {
                    id,
                    // Numbers count from 1.
                    count: found.map_or(0, |found| found.end_id() - 1),
                })?;
        Ok((self.text(set, name)?, kind))
    }

    /// The text at `offset`, as the set numbered `set` counts.
    ///
    /// # Errors
    /// If there is no text at `offset`.
    pub fn text(&self, set: u32, offset: u32) -> Result<&'a str, BtfError> {
        if offset == 0 {
            return Ok("");
        }
        let own = self.sets.get(u32_as_usize(set));
        let of_base = own.is_some_and(|own| own.is_text_of_base(offset));
        let found = if of_base { self.sets.first() } else { own };
        let text = found.and_then(|found| found.text(offset));
        text.ok_or(BtfError::Name { offset })
    }

    /// The type's own set: numbers below a module's first are the kernel's.
    fn home(&self, type_ref: TypeRef) -> TypeRef {
        let end = self.sets.first().map_or(0, Set::end_id);
        match type_ref.id < end {
            true => TypeRef {
                set: 0,
                id: type_ref.id,
            },
            false => type_ref,
        }
    }

    /// The type without typedefs and qualifiers.
    ///
    /// # Errors
    /// If one of them does not exist, or they refer to each other in a circle.
    pub fn bare(&self, from: TypeRef) -> Result<Bare<'a>, BtfError> {
        let mut type_ref = self.home(from);
        let mut alias = None;
        for _ in 0..MAX_STEPS {
            let (name, kind) = self.get(type_ref)?;
            type_ref = match kind {
                Kind::Typedef(next) => {
                    alias = Some(name);
                    self.home(next)
                }
                Kind::Modifier(next) => self.home(next),
                _ => {
                    return Ok(Bare {
                        type_ref,
                        kind,
                        name,
                        alias,
                    });
                }
            };
        }
        Err(BtfError::TooDeep {
            id: from.id,
            limit: MAX_STEPS,
        })
    }
}
