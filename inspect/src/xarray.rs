// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's `struct xarray`, and what is built on it (`struct idr`): a tree of nodes with 64
//! or 16 slots each.

use crate::bounded::Bounded;
use crate::error::Error;
use crate::found::Found;
use crate::list::MAX_ITEMS;
use crate::machine::{Machine, Struct};

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
    /// If it is no such array.
    pub fn xarray(
        &self,
        what: &'static str,
        array: Struct<'_>,
    ) -> Result<Found<(u64, u64)>, Error> {
        self.xarray_within(what, array, MAX_ITEMS)
    }

    /// As [`xarray`](Self::xarray), with no more than `limit` nodes and entries.
    fn xarray_within(
        &self,
        what: &'static str,
        array: Struct<'_>,
        limit: usize,
    ) -> Result<Found<(u64, u64)>, Error> {
        let mut walk = Walk {
            machine: self,
            bounded: Bounded::new(what, limit),
        };
        let root = array.field("xa_head")?.u64();
        if let Some(root) = walk.bounded.noted(root)? {
            walk.entry(array.address(), root, 0, 0)?;
        }
        Ok(walk.bounded.found)
    }
}

impl Machine<'_> {
    /// What `array` has for `index`; 0 if that is nothing.
    pub(crate) fn xarray_entry(&self, array: Struct<'_>, index: u64) -> Result<u64, Error> {
        let mut entry = array.field("xa_head")?.u64()?;
        let mut rest = index;
        for _ in 0..MAX_DEPTH {
            if entry & KIND != NODE || entry <= LAST_MARK {
                // One that is for a single index has no node.
                return Ok(if rest == 0 { entry } else { 0 });
            }
            let node = self.structure("xa_node", entry & !KIND)?;
            let shift = u32::try_from(node.field("shift")?.u64()?).unwrap_or(u32::MAX);
            let slots = node.field("slots")?;
            let count = slots.count()?.min(MAX_SLOTS);
            let slot = rest.checked_shr(shift).unwrap_or(0);
            if slot >= count {
                return Ok(0);
            }
            rest &= 1_u64.checked_shl(shift).unwrap_or(0).wrapping_sub(1);
            entry = slots.index(slot)?.u64()?;
            // Of several slots that are for the same, all but the first say which that is.
            if entry & KIND == NODE && entry >> 2 < count {
                entry = slots.index(entry >> 2)?.u64()?;
            }
            if entry & KIND != NODE || entry <= LAST_MARK {
                return Ok(entry);
            }
        }
        Ok(0)
    }
}

struct Walk<'m> {
    machine: &'m Machine<'m>,
    bounded: Bounded<(u64, u64)>,
}

impl Walk<'_> {
    /// The entry that was found at `at`, for the indices from `index` on.
    fn entry(&mut self, at: u64, entry: u64, index: u64, depth: u32) -> Result<(), Error> {
        match entry & KIND {
            _ if entry == 0 => {}
            POINTER => self.bounded.keep((index, entry)),
            NODE if entry > LAST_MARK => {
                let node = entry & !KIND;
                if self.bounded.enters(node, depth == MAX_DEPTH) {
                    let walked = self.node(node, index, depth);
                    self.bounded.noted(walked)?;
                }
            }
            _ => self.bounded.wild(at, entry),
        }
        Ok(())
    }

    fn node(&mut self, at: u64, index: u64, depth: u32) -> Result<(), Error> {
        let node = self.machine.structure("xa_node", at)?;
        let shift = node.field("shift")?.u64()?;
        let slots = node.field("slots")?;
        let Some(shift) = u32::try_from(shift).ok().filter(|&shift| shift < 64) else {
            self.bounded.wild(at, shift);
            return Ok(());
        };
        for slot in 0..slots.count()?.min(MAX_SLOTS) {
            if self.bounded.is_full() {
                break;
            }
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

#[cfg(test)]
mod tests {
    use crate::testing::Tasks;
    use crate::trouble::Trouble;

    #[test]
    fn entries_count_as_well_as_nodes_and_that_there_are_too_many_is_said_once() {
        let mut tasks = Tasks::new(&[]);
        for pid in 1..9 {
            tasks.process(pid, "init");
        }
        let image = tasks.kernel.image();
        let machine = image.machine();
        let namespace = machine.variable("init_pid_ns", "pid_namespace").unwrap();
        let tree = namespace.field("idr.idr_rt").unwrap().structure();
        let found = machine.xarray_within("tree", tree, 4).unwrap();
        // With the node, four.
        assert_eq!(found.items.len(), 3);
        let (what, limit) = ("tree", 4);
        assert_eq!(found.troubles, [Trouble::TooMany { what, limit }]);
        let whole = machine.xarray_within("tree", tree, 9).unwrap();
        assert_eq!((whole.items.len(), whole.troubles.len()), (8, 0));
    }
}
