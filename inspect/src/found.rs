// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a walk through the kernel's memory comes back with.

use crate::troubles::Troubles;

/// What a walk found, and what was wrong on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// The items, as far as they could be followed.
    pub items: Vec<T>,
    /// What was wrong, in the order in which it was met.
    pub troubles: Troubles,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            troubles: Troubles::default(),
        }
    }
}
