// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading memory into page buffers.

use linpmem_phys::{PageBuffer, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

/// Reads memory into page buffers, without copying it on the way.
pub trait ReadPages: Send + Sync {
    /// Fills `buffer` with the bytes from `start` on, as
    /// [`ReadPhys::read_phys`] does. Afterwards it may be another buffer of the same length:
    /// one that was lent to a thread that never returns is replaced.
    ///
    /// # Errors
    /// If the source as a whole has failed.
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError>;

    /// As [`ReadPhys::is_known_zero`].
    fn is_known_zero(&self, range: PhysRange) -> bool {
        let _ = range;
        false
    }
}

/// A source without any layer.
pub struct Direct<'a>(pub &'a dyn ReadPhys);

impl ReadPages for Direct<'_> {
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.0.read_phys(start, buffer, unreadable)
    }

    fn is_known_zero(&self, range: PhysRange) -> bool {
        self.0.is_known_zero(range)
    }
}
