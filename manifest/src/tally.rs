// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counts of compared pages.

/// What a comparison of two readings of the same pages counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages compared.
    pub pages: u64,
    /// Pages that differ.
    pub different_pages: u64,
    /// Bytes that differ, in those pages.
    pub different_bytes: u64,
    /// Pages that at least one side could not read.
    pub unreadable_pages: u64,
}

impl Tally {
    /// Adds the counts of other pages.
    pub const fn add(&mut self, other: Self) {
        self.pages += other.pages;
        self.different_pages += other.different_pages;
        self.different_bytes += other.different_bytes;
        self.unreadable_pages += other.unreadable_pages;
    }
}
