// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image whose ranges are paid for.

use crate::{Account, Format, ImageReader, MachineFacts, OverBudget, StoredRange, Truncation};
use linpmem_phys::{PhysAddr, ReadPhys, SourceError, Unreadables};

/// An image, and the account that pays for its ranges.
struct Counted {
    image: Box<dyn ImageReader>,
    _account: Account,
}

/// `image`, whose ranges `account` pays for.
pub(crate) fn counted(
    image: impl ImageReader + 'static,
    account: Account,
) -> Result<Box<dyn ImageReader>, OverBudget> {
    account.hold_ranges(image.ranges().len())?;
    Ok(Box::new(Counted {
        image: Box::new(image),
        _account: account,
    }))
}

impl ReadPhys for Counted {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.image.read_phys(start, buf, unreadable)
    }
}

impl ImageReader for Counted {
    fn format(&self) -> Format {
        self.image.format()
    }

    fn ranges(&self) -> &[StoredRange] {
        self.image.ranges()
    }

    fn machine(&self) -> &MachineFacts {
        self.image.machine()
    }

    fn warnings(&self) -> &[String] {
        self.image.warnings()
    }

    fn truncation(&self) -> Option<Truncation> {
        self.image.truncation()
    }
}
