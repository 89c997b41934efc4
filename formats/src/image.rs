// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every format's reader does.

use crate::{Format, MachineFacts};
use linpmem_phys::{Content, PhysRange, ReadPhys, RegionKind};

/// An image of physical memory, opened.
///
/// Reading ([`ReadPhys`]) gives what the image holds. Addresses that it does not
/// hold are zero in the buffer and listed with `ENXIO`; what the image's own file
/// or a damaged compressed piece of it does not give is listed with `EIO`. An
/// image that holds part of a page gives that part and lists the rest.
pub trait ImageReader: ReadPhys {
    /// The format.
    fn format(&self) -> Format;

    /// What the image tells of addresses: sorted and disjoint. Addresses in no
    /// range are not in the image.
    fn ranges(&self) -> &[StoredRange];

    /// What the image tells of the machine.
    fn machine(&self) -> &MachineFacts;

    /// What is odd about the image, but did not prevent reading it; a sentence each.
    fn warnings(&self) -> &[String];
}

/// A range of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRange {
    /// Where. Images of other tools may have parts of pages.
    pub range: PhysRange,
    /// What the kernel called it, if the image tells.
    pub kind: Option<RegionKind>,
    /// What the image holds of it. A range that the image names but has no bytes
    /// for is [`Content::Skipped`]: that is not the same as zero.
    pub content: Content,
    /// Where its bytes begin, counted from the image's start before any
    /// compression around it; `None` if they do not lie there in one piece.
    pub offset: Option<u64>,
}
