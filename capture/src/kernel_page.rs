// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running kernel's page: the unit of what it counts by the page, such as /proc/kpageflags
//! and /proc/self/pagemap, and of what it takes for RAM. On arm64 it can be 16 or 64 KiB.
//! Images and maps are in units of [`linpmem_phys::PAGE_SIZE`] everywhere: each of the
//! kernel's pages is a whole number of them.

use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;

/// Its size, a power of two.
pub(crate) fn size() -> PhysLen {
    PhysLen::new(usize_as_u64(rustix::param::page_size()))
}
