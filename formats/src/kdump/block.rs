// SPDX-License-Identifier: MIT OR Apache-2.0
//! The size of a dump's pages, in which its other parts are counted as well.

use linpmem_phys::num::{u32_as_usize, usize_as_u64};
use linpmem_phys::{PhysAddr, PhysLen};

/// The size of a page of the kernel, which is that of a block of the dump: readers take one
/// for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block(u32);

impl Block {
    /// The pages of x86-64, and of most kernels for arm64.
    pub(super) const SMALLEST: Self = Self(4 << 10);

    /// Blocks of this many bytes. `None` if no kernel of these architectures has such pages.
    pub(super) fn of(bytes: u64) -> Option<Self> {
        let known = [Self::SMALLEST, Self(16 << 10), Self(64 << 10)];
        known.into_iter().find(|known| known.len() == bytes)
    }

    pub(super) const fn size(self) -> u32 {
        self.0
    }

    pub(super) const fn bytes(self) -> usize {
        u32_as_usize(self.0)
    }

    pub(super) const fn len(self) -> u64 {
        usize_as_u64(self.bytes())
    }

    pub(super) const fn phys_len(self) -> PhysLen {
        PhysLen::new(self.len())
    }

    /// The number of the page at `addr`.
    pub(super) const fn page_of(self, addr: PhysAddr) -> u64 {
        addr.get() / self.len()
    }

    /// Where page `number` begins. There are at most 2^33 pages.
    pub(super) const fn addr(self, number: u64) -> PhysAddr {
        PhysAddr::new(number * self.len())
    }
}
