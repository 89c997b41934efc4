// SPDX-License-Identifier: MIT OR Apache-2.0
//! A source for which one unreadable page is a failure: `--on-error fail`.

use linpmem_phys::{PhysAddr, ReadPhys, SourceError, Unreadables};

/// Fails as a whole where `.0` cannot read a page.
pub struct FailOnUnreadable<'a>(pub &'a dyn ReadPhys);

impl FailOnUnreadable<'_> {
    fn check(unreadable: &Unreadables) -> Result<(), SourceError> {
        match unreadable.as_slice().first() {
            None => Ok(()),
            Some(first) => Err(SourceError::new(
                first.range.start(),
                format!(
                    "{} cannot be read ({}), and --on-error fail ends the run there",
                    first.range, first.errno
                ),
            )),
        }
    }
}

impl ReadPhys for FailOnUnreadable<'_> {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.0.read_phys(start, buf, unreadable)?;
        Self::check(unreadable)
    }

    fn read_phys_owned(
        &self,
        start: PhysAddr,
        buf: Vec<u8>,
        unreadable: &mut Unreadables,
    ) -> Result<Vec<u8>, SourceError> {
        let filled = self.0.read_phys_owned(start, buf, unreadable)?;
        Self::check(unreadable)?;
        Ok(filled)
    }
}
