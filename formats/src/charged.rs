// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image whose ranges are charged to an account.

use crate::{Account, Format, ImageReader, MachineFacts, OverBudget, StoredRange, Truncation};
use linpmem_phys::{PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

/// An image, and the account that its ranges are charged to.
struct Charged {
    image: Box<dyn ImageReader>,
    _account: Account,
}

/// `image`, with its ranges charged to `account`.
pub(crate) fn charged(
    image: impl ImageReader + 'static,
    account: Account,
) -> Result<Box<dyn ImageReader>, OverBudget> {
    account.hold_ranges(image.ranges().len())?;
    Ok(Box::new(Charged {
        image: Box::new(image),
        _account: account,
    }))
}

impl ReadPhys for Charged {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.image.read_phys(start, buf, unreadable)
    }

    fn is_known_zero(&self, range: PhysRange) -> bool {
        self.image.is_known_zero(range)
    }
}

impl ImageReader for Charged {
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
