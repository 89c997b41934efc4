// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's `struct xarray`, and what is built on it (`struct idr`): a tree of nodes with 64
//! or 16 slots each.

use crate::error::Error;
use crate::found::Found;
use crate::list::MAX_ITEMS;
use crate::machine::{Machine, Struct};
use crate::trouble::Trouble;
use std::collections::HashSet;

/// What the two lowest bits of an entry say: a pointer, or a node of the tree. The others are
/// values.
const KIND: u64 = 3;
const POINTER: u64 = 0;
const NODE: u64 = 2;
/// Smaller numbers of that kind are marks, not nodes.
const LAST_MARK: u64 = 4096;

/// `XA_CHUNK_SIZE`, the larger of the two.
const MAX_SLOTS: u64 = 64;
/// 64 bits of an index, six a level.
const MAX_DEPTH: u32 = 11;

impl Machine<'_> {
    /// The pointers in `array`, a `struct xarray`, with the index of each.
    ///
    /// # Errors
    /// If it is no such array, or cannot be read at all.
    pub fn xarray(
        &self,
        what: &'static str,
        array: Struct<'_>,
    ) -> Result<Found<(u64, u64)>, Error> {
        let root = array.field("xa_head")?.u64()?;
        let mut walk = Walk {
            machine: self,
            what,
            seen: HashSet::new(),
            found: Found::default(),
        };
        walk.entry(array.address(), root, 0, 0)?;
        Ok(walk.found)
    }
}

struct Walk<'m> {
    machine: &'m Machine<'m>,
    what: &'static str,
    seen: HashSet<u64>,
    found: Found<(u64, u64)>,
}

impl Walk<'_> {
    /// The entry that was found at `at`, for the indices from `index` on.
    fn entry(&mut self, at: u64, entry: u64, index: u64, depth: u32) -> Result<(), Error> {
        let what = self.what;
        match entry & KIND {
            _ if entry == 0 => {}
            POINTER => self.found.items.push((index, entry)),
            NODE if entry > LAST_MARK => {
                let node = entry & !KIND;
                if depth == MAX_DEPTH || !self.seen.insert(node) {
                    self.found.troubles.push(Trouble::Circle { what, at: node });
                } else if self.seen.len() > MAX_ITEMS {
                    let limit = MAX_ITEMS;
                    self.found.troubles.push(Trouble::TooMany { what, limit });
                } else if let Err(error) = self.node(node, index, depth) {
                    match error {
                        Error::Memory(_) => self
                            .found
                            .troubles
                            .push(Trouble::Unreadable { what, error }),
                        other => return Err(other),
                    }
                }
            }
            _ => self.found.troubles.push(Trouble::Wild {
                what,
                at,
                value: entry,
            }),
        }
        Ok(())
    }

    fn node(&mut self, at: u64, index: u64, depth: u32) -> Result<(), Error> {
        let node = self.machine.structure("xa_node", at)?;
        let shift = node.field("shift")?.u64()?;
        let slots = node.field("slots")?;
        let Some(shift) = u32::try_from(shift).ok().filter(|&shift| shift < 64) else {
            self.found.troubles.push(Trouble::Wild {
                what: self.what,
                at,
                value: shift,
            });
            return Ok(());
        };
        for slot in 0..slots.count()?.min(MAX_SLOTS) {
            let place = slots.index(slot)?;
            let entry = place.u64()?;
            let within = slot.checked_shl(shift).unwrap_or(0);
            self.entry(
                place.address(),
                entry,
                index.wrapping_add(within),
                depth + 1,
            )?;
        }
        Ok(())
    }
}
