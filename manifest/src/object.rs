// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a store has the image, and the sums of what was sent.

use crate::Sha256Sum;
use serde::{Deserialize, Serialize};

/// An object of a store. An image is one of them, or several one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRecord {
    /// Its name, without the folder.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Bytes of each part but the last.
    pub part_bytes: u64,
    /// Whether each part is an object of its own: NAME.00000, NAME.00001 and so on.
    pub parts_are_objects: bool,
    /// The SHA-256 of each part.
    pub sha256: Vec<Sha256Sum>,
}

impl ObjectRecord {
    /// Whether there is a sum for each part of the length.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let parts = match self.length {
            0 => 1,
            length => length
                .checked_div(self.part_bytes)
                .map_or(0, |whole| whole + u64::from(length % self.part_bytes != 0)),
        };
        linpmem_phys::num::usize_as_u64(self.sha256.len()) == parts
    }
}
