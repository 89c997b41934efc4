// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of a second pass: how much of the memory changed while it was read.

use crate::range::addresses;
use crate::{Address, Stamp};
use linpmem_phys::PhysRange;
use serde::{Deserialize, Serialize};

/// Memory is read a second time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondPassStart {
    /// When it began.
    pub started: Stamp,
}

/// Adjacent pages, each of which changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedRecord {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Pages.
    pub pages: u64,
    /// Bytes that changed in them.
    pub changed_bytes: u64,
}

/// What the second pass found in one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondPassRange {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Pages that were read again.
    pub pages: u64,
    /// Pages that changed.
    pub changed_pages: u64,
    /// Bytes that changed.
    pub changed_bytes: u64,
    /// Pages that could not be read, the first or the second time.
    pub unreadable_pages: u64,
}

/// The totals over all ranges, and how the second pass ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondPassTotals {
    /// Pages that were read again.
    pub pages: u64,
    /// Pages that changed.
    pub changed_pages: u64,
    /// Bytes that changed.
    pub changed_bytes: u64,
    /// Pages that could not be read, the first or the second time.
    pub unreadable_pages: u64,
    /// Why it ended early; the ranges before this line end where it did.
    #[serde(deserialize_with = "Option::deserialize")]
    pub error: Option<String>,
    /// When it ended.
    pub ended: Stamp,
}

impl ChangedRecord {
    /// The addresses; `None` if there are none between `start` and `last`.
    #[must_use]
    pub fn addresses(&self) -> Option<PhysRange> {
        addresses(self.start, self.last)
    }
}

impl SecondPassRange {
    /// The addresses; `None` if there are none between `start` and `last`.
    #[must_use]
    pub fn addresses(&self) -> Option<PhysRange> {
        addresses(self.start, self.last)
    }
}
