// SPDX-License-Identifier: MIT OR Apache-2.0
//! One hash over many hashes.
//!
//! The Merkle Tree Hash of RFC 9162, section 2.1.1, with SHA-256. Its entries are the
//! hashes of chunks, 32 bytes each. Bytes are hashed once, for their chunk, by any thread;
//! the tree above costs next to nothing, and any part of it can be checked alone.

use crate::hash::{sha256, sha256_of};
use linpmem_manifest::Sha256Sum;
use sha2::{Digest, Sha256};

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// A tree that grows at its end. Only the roots of its full subtrees are kept, no two of
/// which have the same height.
#[derive(Clone, Debug, Default)]
pub struct MerkleTree {
    /// The roots from the highest to the lowest, each with its height.
    roots: Vec<(u32, Sha256Sum)>,
}

impl MerkleTree {
    /// Adds an entry.
    pub fn push(&mut self, entry: Sha256Sum) {
        let (mut height, mut root) = (0, hash(LEAF, &[entry]));
        while let Some(&(_, left)) = self.roots.last().filter(|(other, _)| *other == height) {
            self.roots.pop();
            root = hash(NODE, &[left, root]);
            height += 1;
        }
        self.roots.push((height, root));
    }

    /// The hash over all entries.
    #[must_use]
    pub fn root(&self) -> Sha256Sum {
        let mut roots = self.roots.iter().rev().map(|&(_, root)| root);
        match roots.next() {
            None => sha256(&[]),
            Some(last) => roots.fold(last, |right, left| hash(NODE, &[left, right])),
        }
    }
}

impl Extend<Sha256Sum> for MerkleTree {
    fn extend<I: IntoIterator<Item = Sha256Sum>>(&mut self, entries: I) {
        entries.into_iter().for_each(|entry| self.push(entry));
    }
}

fn hash(kind: u8, parts: &[Sha256Sum]) -> Sha256Sum {
    let mut hasher = Sha256::new();
    hasher.update([kind]);
    parts.iter().for_each(|part| hasher.update(part.as_bytes()));
    sha256_of(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the RFC defines it.
    fn by_definition(entries: &[Sha256Sum]) -> Sha256Sum {
        match entries {
            [] => sha256(&[]),
            [entry] => hash(LEAF, &[*entry]),
            _ => {
                let half = entries.len().next_power_of_two() / 2;
                let (left, right) = entries.split_at(half);
                hash(NODE, &[by_definition(left), by_definition(right)])
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition() {
        let entries: Vec<_> = (0..70_u8).map(|byte| sha256(&[byte])).collect();
        let mut tree = MerkleTree::default();
        for count in 0..entries.len() {
            assert_eq!(tree.root(), by_definition(&entries[..count]), "{count}");
            tree.push(entries[count]);
        }
    }

    #[test]
    fn a_known_root() {
        // printf '\0' | cat - <(printf '' | sha256sum | xxd -r -p) | sha256sum
        let mut tree = MerkleTree::default();
        tree.push(sha256(&[]));
        let root = "4e59bf27372b1304bc0b137d1be9d566ad58b154b6a6b5778af7f414b1d4b84c";
        assert_eq!(tree.root().to_string(), root);
    }
}
