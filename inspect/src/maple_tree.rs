// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's `struct maple_tree` (lib/maple_tree.c), in which a process has its mappings since
//! Linux 6.1.
//!
//! A node has slots, and between them pivots: the last index of the slot before each. A pointer
//! to a node has its kind in bits 3 to 6; nodes are aligned to 256 bytes.

use crate::bounded::Bounded;
use crate::error::Error;
use crate::found::Found;
use crate::list::MAX_ITEMS;
use crate::machine::{Machine, Struct};

const NODE_MASK: u64 = 0xff;
const IS_NODE: u64 = 2;
const KIND_SHIFT: u32 = 3;
const KIND_MASK: u64 = 0xf;
/// Smaller entries with the bit of nodes are marks.
const LAST_MARK: u64 = 4096;

/// `enum maple_type`.
const DENSE: u64 = 0;
const LEAF: u64 = 1;
const RANGE: u64 = 2;
const ALLOC_RANGE: u64 = 3;

/// `MAPLE_NODE_SLOTS`, those of a node without pivots.
const MAX_SLOTS: u64 = 31;
/// The kernel's limit, `MAPLE_HEIGHT_MAX`.
const MAX_DEPTH: u32 = 31;

impl Machine<'_> {
    /// The pointers in `tree`, a `struct maple_tree`, in their order.
    ///
    /// # Errors
    /// If it is no such tree.
    pub fn maple_tree(&self, what: &'static str, tree: Struct<'_>) -> Result<Found<u64>, Error> {
        self.maple_tree_within(what, tree, MAX_ITEMS)
    }

    /// As [`maple_tree`](Self::maple_tree), with no more than `limit` nodes and entries.
    fn maple_tree_within(
        &self,
        what: &'static str,
        tree: Struct<'_>,
        limit: usize,
    ) -> Result<Found<u64>, Error> {
        let mut walk = Walk {
            machine: self,
            bounded: Bounded::new(what, limit),
        };
        let root = tree.field("ma_root")?.u64();
        match walk.bounded.noted(root)? {
            Some(root) if is_node(root) => walk.enter(root, 0, u64::MAX, 0)?,
            Some(root) if root & 3 == 0 && root != 0 => walk.bounded.keep(root),
            _ => {}
        }
        Ok(walk.bounded.found)
    }
}

const fn is_node(entry: u64) -> bool {
    entry & 3 == IS_NODE && entry > LAST_MARK
}

struct Walk<'m> {
    machine: &'m Machine<'m>,
    bounded: Bounded<u64>,
}

impl Walk<'_> {
    /// Goes through the node that `entry` leads to, and notes what cannot be read of it.
    fn enter(&mut self, entry: u64, min: u64, max: u64, depth: u32) -> Result<(), Error> {
        if self.bounded.enters(entry & !NODE_MASK, depth == MAX_DEPTH) {
            let walked = self.node(entry, min, max, depth);
            self.bounded.noted(walked)?;
        }
        Ok(())
    }

    fn node(&mut self, entry: u64, min: u64, max: u64, depth: u32) -> Result<(), Error> {
        let at = entry & !NODE_MASK;
        let node = self.machine.structure("maple_node", at)?;
        let (pivots, slots) = match entry >> KIND_SHIFT & KIND_MASK {
            DENSE => (None, node.field("slot")?),
            LEAF | RANGE => (Some(node.field("mr64.pivot")?), node.field("mr64.slot")?),
            ALLOC_RANGE => (Some(node.field("ma64.pivot")?), node.field("ma64.slot")?),
            _ => {
                self.bounded.wild(at, entry);
                return Ok(());
            }
        };
        // A node that was taken out of the tree is its own parent.
        if node.field("parent")?.u64()? & !NODE_MASK == at {
            self.bounded.circle(at);
        }
        let is_leaf = matches!(entry >> KIND_SHIFT & KIND_MASK, DENSE | LEAF);
        let pivot_count = pivots.map_or(Ok(0), |pivots| pivots.count())?;
        let mut first = min;
        for slot in 0..slots.count()?.min(MAX_SLOTS) {
            if self.bounded.is_full() {
                break;
            }
            let last = match pivots {
                Some(pivots) if slot < pivot_count => pivots.index(slot)?.u64()?,
                _ => max,
            };
            // What follows the last pivot in use is not part of the node.
            let last = if last == 0 && slot > 0 { max } else { last };
            if last < first || last > max {
                self.bounded.wild(at, last);
                return Ok(());
            }
            let place = slots.index(slot)?;
            let value = place.u64()?;
            if is_leaf {
                if value & 3 == 0 && value != 0 {
                    self.bounded.keep(value);
                }
            } else if value > LAST_MARK {
                // Only the pointer to the first node has the bit of nodes.
                self.enter(value, first, last, depth + 1)?;
            } else if value != 0 {
                self.bounded.wild(place.address(), value);
            }
            if last >= max {
                break;
            }
            first = last + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Btf, Kernel, Of};
    use crate::trouble::Trouble;

    const LEAF_KIND: u64 = LEAF << KIND_SHIFT;
    const RANGE_KIND: u64 = ALLOC_RANGE << KIND_SHIFT;

    fn kernel() -> (Kernel, u64) {
        let mut btf = Btf::new();
        btf.structure(
            "maple_range_64",
            256,
            &[
                ("pivot", Of::Numbers(8, 15), 8),
                ("slot", Of::Numbers(8, 16), 128),
            ],
        )
        .structure(
            "maple_arange_64",
            256,
            &[
                ("pivot", Of::Numbers(8, 9), 8),
                ("slot", Of::Numbers(8, 10), 80),
            ],
        )
        .structure(
            "maple_node",
            256,
            &[
                ("parent", Of::Number(8), 0),
                ("slot", Of::Numbers(8, 31), 8),
                ("mr64", Of::Struct("maple_range_64"), 0),
                ("ma64", Of::Struct("maple_arange_64"), 0),
            ],
        )
        .structure("maple_tree", 16, &[("ma_root", Of::Number(8), 8)]);
        let mut kernel = Kernel::new(&btf);
        let tree = kernel.allocate(16);
        (kernel, tree)
    }

    /// A leaf with these pivots and slots.
    fn leaf(kernel: &mut Kernel, pivots: &[u64], slots: &[u64]) -> u64 {
        let at = kernel.aligned_page();
        for (place, &pivot) in (1..).zip(pivots) {
            kernel.put(at + place * 8, pivot);
        }
        for (place, &slot) in (16..).zip(slots) {
            kernel.put(at + place * 8, slot);
        }
        at
    }

    fn found(kernel: Kernel, tree: u64) -> Found<u64> {
        let image = kernel.image();
        let machine = image.machine();
        let tree = machine.structure("maple_tree", tree).unwrap();
        machine.maple_tree("tree", tree).unwrap()
    }

    /// Two leaves below one node: 0x1000, 0x2000 and 0x3000.
    fn tree() -> (Kernel, u64, [u64; 3]) {
        let (mut kernel, tree) = kernel();
        let left = leaf(&mut kernel, &[0xff, 0x1ff, 0x2ff], &[0, 0x1000, 0]);
        // The pivot behind those in use is 0.
        let right = leaf(&mut kernel, &[0x3ff, 0x4ff], &[0x2000, 0x3000, 0]);
        let top = kernel.aligned_page();
        kernel.put(top + 8, 0x2ff);
        kernel.put(top + 16, u64::MAX);
        kernel.put(top + 80, left | LEAF_KIND | 4);
        kernel.put(top + 88, right | LEAF_KIND);
        kernel.put(tree + 8, top | RANGE_KIND | 2);
        (kernel, tree, [top, left, right])
    }

    #[test]
    fn entries_are_in_the_order_of_their_indices() {
        let (kernel, tree, _) = tree();
        let found = found(kernel, tree);
        assert_eq!(found.items, [0x1000, 0x2000, 0x3000]);
        assert_eq!(found.troubles, []);
    }

    #[test]
    fn a_tree_of_one_entry_and_an_empty_one_have_no_nodes() {
        let (mut kernel, tree) = kernel();
        kernel.put(tree + 8, 0x5000);
        assert_eq!(found(kernel, tree).items, [0x5000]);
        let (kernel, tree) = self::kernel();
        assert_eq!(found(kernel, tree), Found::default());
    }

    #[test]
    fn entries_count_as_well_as_nodes_and_that_there_are_too_many_is_said_once() {
        let (kernel, tree, _) = tree();
        let image = kernel.image();
        let machine = image.machine();
        let tree = machine.structure("maple_tree", tree).unwrap();
        let found = machine.maple_tree_within("tree", tree, 4).unwrap();
        // Two nodes and an entry, then the second leaf; its entries are too many.
        assert_eq!(found.items, [0x1000]);
        let (what, limit) = ("tree", 4);
        assert_eq!(found.troubles, [Trouble::TooMany { what, limit }]);
        let whole = machine.maple_tree_within("tree", tree, 6).unwrap();
        assert_eq!((whole.items.len(), whole.troubles.len()), (3, 0));
    }

    #[test]
    fn a_tree_whose_root_is_missing_is_said() {
        let (mut kernel, tree, _) = tree();
        kernel.lose(tree);
        let found = found(kernel, tree);
        assert_eq!(found.items, []);
        let unreadable = matches!(found.troubles[..], [Trouble::Unreadable { .. }]);
        assert!(unreadable, "{:?}", found.troubles);
    }

    #[test]
    fn a_node_below_itself_ends() {
        let (mut kernel, tree, [top, ..]) = tree();
        kernel.put(top + 88, top | RANGE_KIND);
        let found = found(kernel, tree);
        assert_eq!(found.items, [0x1000]);
        assert_eq!(
            found.troubles,
            [Trouble::Circle {
                what: "tree",
                at: top
            }]
        );
    }

    #[test]
    fn a_missing_node_does_not_hide_the_others() {
        let (mut kernel, tree, [_, left, _]) = tree();
        kernel.lose(left);
        let found = found(kernel, tree);
        assert_eq!(found.items, [0x2000, 0x3000]);
        let unreadable = matches!(found.troubles[..], [Trouble::Unreadable { .. }]);
        assert!(unreadable, "{:?}", found.troubles);
    }

    #[test]
    fn a_node_that_was_taken_out_and_one_of_an_unknown_kind_are_said() {
        let (mut kernel, tree, [top, left, right]) = tree();
        kernel.put(left, left);
        kernel.put(top + 88, right | 9 << KIND_SHIFT);
        let found = found(kernel, tree);
        assert_eq!(found.items, [0x1000]);
        let troubles = &found.troubles[..];
        let [Trouble::Circle { at, .. }, Trouble::Wild { at: wild, .. }] = troubles else {
            panic!("{troubles:?}");
        };
        assert_eq!((*at, *wild), (left, right));
    }

    #[test]
    fn pivots_that_go_back_end_their_node_alone() {
        let (mut kernel, tree, [_, left, _]) = tree();
        kernel.put(left + 16, 0x50);
        let found = found(kernel, tree);
        assert_eq!(found.items, [0x2000, 0x3000]);
        let wild = matches!(found.troubles[..], [Trouble::Wild { value: 0x50, .. }]);
        assert!(wild, "{:?}", found.troubles);
    }
}
