// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every format's reader provides.

use crate::{Format, MachineFacts, StoredRange, Truncation};
use linpmem_phys::ReadPhys;

/// An open image of physical memory.
///
/// Reading ([`ReadPhys`]) returns the memory that the image holds. Addresses that
/// it does not hold are zero in the buffer and listed as unreadable with `ENXIO`;
/// addresses whose data cannot be read from the file or is damaged are listed with
/// `EIO`, and those that a file which was cut off no longer has with
/// [`Truncation::ERRNO`]. Where an image holds a partial page, reading returns that part and lists
/// the rest.
pub trait ImageReader: ReadPhys {
    /// The format of the image.
    fn format(&self) -> Format;

    /// The ranges that the image describes, sorted and disjoint. Addresses outside
    /// of all ranges are not in the image.
    fn ranges(&self) -> &[StoredRange];

    /// What the image says about the machine.
    fn machine(&self) -> &MachineFacts;

    /// Irregularities that do not prevent reading the image, one sentence each.
    fn warnings(&self) -> &[String];

    /// How the image ends early; `None` if it is complete, as far as it can tell. One of
    /// the [`warnings`](Self::warnings) says the same in words.
    fn truncation(&self) -> Option<Truncation>;
}
