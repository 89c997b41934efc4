// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an image says about a range of addresses.

use linpmem_phys::{Content, PhysRange, RegionKind};

/// A range of addresses that an image describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRange {
    /// The physical addresses. Images made by other tools may have partial pages.
    pub range: PhysRange,
    /// What the kernel called the range, if the image says so.
    pub kind: Option<RegionKind>,
    /// What the image holds of the range. A range that the image lists without
    /// storing it is [`Content::Skipped`], which is not the same as zero.
    pub content: Content,
    /// Where its data begins: bytes from the start of the image, before any
    /// compression around it. `None` if the image does not store it in one piece.
    pub offset: Option<u64>,
}
