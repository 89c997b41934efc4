// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Which pages may be read, and how.

use super::access::{Access, Caching};
use super::kernel::{Kernel, PAGE_SIZE};
use super::Errno;

pub use super::page::{PageState, Region, Route};

/// Decides how each page of a request is read. It remembers the last extent of System
/// RAM, so that a long read searches the resource tree once per extent, not per page.
pub struct Classifier<'k, K> {
    kernel: &'k K,
    access: Access,
    /// The first address that the processor cannot form.
    limit: u64,
    /// The pages of the first System RAM at or above `searched_from`, partial pages
    /// included; `None` if there is no RAM between there and the limit.
    ram: Option<(u64, u64)>,
    searched_from: Option<u64>,
}

impl<'k, K: Kernel> Classifier<'k, K> {
    /// A classifier for one request.
    pub fn new(kernel: &'k K, access: Access) -> Self {
        Self {
            kernel,
            access,
            limit: limit(kernel),
            ram: None,
            searched_from: None,
        }
    }

    /// The first address that the processor cannot form.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How the page at `page` (page-aligned) is read. The answer holds as long as `held`.
    ///
    /// # Errors
    /// The reason why the page must not be read; see [`Errno`].
    pub fn route(&mut self, held: &K::Held, page: u64) -> Result<Route, Errno> {
        if page >= self.limit {
            return Err(Errno::ENXIO);
        }
        if self.holds_ram(page) {
            return self.ram_route(held, page);
        }
        let Access {
            device, caching, ..
        } = self.access;
        match (self.kernel.region(page), caching) {
            (Region::Firmware, Caching::Natural | Caching::Cached) => Ok(Route::Firmware),
            (Region::Rom, Caching::Natural | Caching::Cached) => Ok(Route::Rom),
            // An uncached mapping is a device mapping, and needs the same access.
            (Region::Firmware | Region::Rom, Caching::Uncached) | (Region::Other, _) if device => {
                Ok(Route::Device {
                    cached: caching == Caching::Cached,
                })
            }
            _ => Err(Errno::EACCES),
        }
    }

    fn ram_route(&self, held: &K::Held, page: u64) -> Result<Route, Errno> {
        match self.kernel.ram_page(held, page) {
            // Mapping RAM a second time with another memory type can corrupt it.
            PageState::Online if self.access.caching == Caching::Uncached => Err(Errno::EOPNOTSUPP),
            PageState::Online => Ok(Route::DirectMap),
            PageState::Poisoned => Err(Errno::EHWPOISON),
            PageState::NotOnline | PageState::Offline | PageState::Unaccepted => {
                Err(Errno::ENODATA)
            }
        }
    }

    /// Asks again about the pages `start..end` of System RAM: the first one that must not
    /// be read any more, and why.
    pub fn first_lost(&self, held: &K::Held, start: u64, end: u64) -> Option<(u64, Errno)> {
        let page = self.kernel.first_lost(held, start, end)?;
        let errno = self.ram_route(held, page).err().unwrap_or(Errno::ENODATA);
        Some((page, errno))
    }

    /// Another route to the page at `page` (page-aligned), for which `route` failed with
    /// `errno`.
    pub fn fallback(&self, page: u64, route: Route, errno: Errno) -> Option<Route> {
        match route {
            // The page is missing from the direct map.
            Route::DirectMap if errno == Errno::EIO && self.kernel.image_maps(page) => {
                Some(Route::Image)
            }
            Route::DirectMap if errno == Errno::EIO && self.access.unmapped => Some(Route::Alias),
            // The kernel does not map it as memory, whatever the firmware calls it.
            Route::Firmware | Route::Rom if errno == Errno::EACCES && self.access.device => {
                Some(Route::Device { cached: false })
            }
            _ => None,
        }
    }

    /// Whether any byte of the page is System RAM. A partial page is in the direct map
    /// like any other page of RAM.
    fn holds_ram(&mut self, page: u64) -> bool {
        let known = match (self.searched_from, self.ram) {
            (Some(from), Some((_, end))) => from <= page && page < end,
            (Some(from), None) => from <= page,
            (None, _) => false,
        };
        if !known {
            self.ram = self.kernel.next_ram(page, self.limit).map(|(start, end)| {
                let ceil = end.checked_add(PAGE_SIZE - 1).unwrap_or(end);
                (start & !(PAGE_SIZE - 1), ceil & !(PAGE_SIZE - 1))
            });
            self.searched_from = Some(page);
        }
        self.ram
            .is_some_and(|(start, end)| start <= page && page < end)
    }
}

/// The first address that the processor cannot form.
pub fn limit<K: Kernel>(kernel: &K) -> u64 {
    1u64.checked_shl(kernel.phys_bits().min(52)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeKernel;
    use super::*;

    #[test]
    fn every_kind_of_page_is_classified() {
        let kernel = FakeKernel::pc();
        let mut classifier = Classifier::new(&kernel, Access::default());
        let mut route = |page| classifier.route(&kernel.hold_memory(), page);
        assert_eq!(route(0x0000), Ok(Route::Firmware), "reserved first page");
        assert_eq!(route(0x1000), Ok(Route::DirectMap));
        assert_eq!(route(0x9f000), Ok(Route::DirectMap), "part RAM");
        assert_eq!(route(0xa0000), Err(Errno::EACCES), "video memory");
        assert_eq!(route(0xc0000), Ok(Route::Rom), "ROM");
        assert_eq!(route(0xf0000), Ok(Route::Firmware), "reserved");
        assert_eq!(route(0x20_0000), Ok(Route::DirectMap));
        assert_eq!(route(0x20_1000), Err(Errno::EHWPOISON));
        assert_eq!(route(0x20_2000), Err(Errno::ENODATA));
        assert_eq!(route(0x20_3000), Err(Errno::ENODATA));
        assert_eq!(route(0x20_4000), Err(Errno::ENODATA));
        assert_eq!(route(0x8000_0000), Err(Errno::EACCES), "hole");
        assert_eq!(route(1 << 40), Err(Errno::ENXIO));
        assert_eq!(route(u64::MAX - 4095), Err(Errno::ENXIO));
    }

    #[test]
    fn devices_and_caching_follow_the_request() {
        let kernel = FakeKernel::pc();
        let route = |page, device, caching| {
            let access = Access {
                device,
                caching,
                unmapped: false,
            };
            Classifier::new(&kernel, access).route(&kernel.hold_memory(), page)
        };
        let device = |cached| Ok(Route::Device { cached });
        assert_eq!(route(0xa0000, true, Caching::Natural), device(false));
        assert_eq!(route(0xa0000, true, Caching::Cached), device(true));
        assert_eq!(route(0xa0000, false, Caching::Cached), Err(Errno::EACCES));
        assert_eq!(route(0xf0000, true, Caching::Natural), Ok(Route::Firmware));
        assert_eq!(route(0xf0000, true, Caching::Uncached), device(false));
        assert_eq!(route(0xc0000, true, Caching::Natural), Ok(Route::Rom));
        assert_eq!(route(0xc0000, false, Caching::Uncached), Err(Errno::EACCES));
        assert_eq!(route(0xf0000, false, Caching::Uncached), Err(Errno::EACCES));
        assert_eq!(
            route(0x20_0000, true, Caching::Uncached),
            Err(Errno::EOPNOTSUPP)
        );
        assert_eq!(
            route(0x20_1000, true, Caching::Cached),
            Err(Errno::EHWPOISON)
        );
    }

    #[test]
    fn an_extent_is_searched_once_and_going_back_searches_again() {
        let kernel = FakeKernel::pc();
        let mut classifier = Classifier::new(&kernel, Access::default());
        for page in (0x10_0000..0x20_0000).step_by(4096) {
            assert_eq!(
                classifier.route(&kernel.hold_memory(), page),
                Ok(Route::DirectMap)
            );
        }
        assert_eq!(kernel.searches(), 1);
        assert_eq!(
            classifier.route(&kernel.hold_memory(), 0x1000),
            Ok(Route::DirectMap)
        );
        assert_eq!(
            classifier.route(&kernel.hold_memory(), 0xa0000),
            Err(Errno::EACCES)
        );
        assert_eq!(
            classifier.route(&kernel.hold_memory(), 0xb0000),
            Err(Errno::EACCES)
        );
        assert_eq!(kernel.searches(), 3);
    }
}
