// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's page descriptors (`struct page`).

use crate::bindings;
use crate::facts::{fact, offset};
use crate::linpmem_core::layout::ABSENT;
use core::ffi::c_void;

/// Pages of a memory section (SECTION_SIZE_BITS - PAGE_SHIFT on x86-64).
const SECTION_PAGES: u64 = 1 << (27 - 12);

/// Sections that physical addresses of 52 bits can have.
const SECTIONS_MAX: u64 = 1 << (52 - 27);

/// A section's memory is online (SECTION_IS_ONLINE).
const SECTION_IS_ONLINE: u64 = 1 << 2;

/// How many pages the largest page has, 1 GiB.
const LARGEST_PAGE: u64 = 1 << 18;

/// Above this, a compound_info is a mask and not a pointer: the descriptors lie below.
const MASKS: u64 = 0xffff_ffff_0000_0000;

/// The descriptor of a page that is online, or was when memory was held.
#[derive(Clone, Copy)]
pub(crate) struct Descriptor(*const c_void);

/// The descriptor of page number `pfn`, if that page is online.
pub(crate) fn online(pfn: u64) -> Option<Descriptor> {
    if fact!(section_size) != ABSENT {
        return is_section_online(pfn).then(|| descriptor(pfn));
    }
    // SAFETY: Takes any number.
    let page = unsafe { bindings::pfn_to_online_page(pfn) };
    (!page.is_null()).then_some(Descriptor(page))
}

/// The descriptor of a page that has one.
pub(crate) fn descriptor(pfn: u64) -> Descriptor {
    // SAFETY: Reads a variable that is fixed at boot.
    let base = unsafe { bindings::vmemmap_base };
    let addr = base.wrapping_add(pfn.wrapping_mul(u64::from(fact!(page_size))));
    Descriptor(addr as *const c_void)
}

/// What `pfn_to_online_page` finds where it is a macro (before Linux 5.11).
fn is_section_online(pfn: u64) -> bool {
    let section = pfn / SECTION_PAGES;
    let size = u64::from(fact!(section_size));
    let Some(a_root) = 4096_u64.checked_div(size).filter(|&count| count > 0) else {
        return false;
    };
    // SAFETY: The kernel has a table of roots for all sections that an address of this
    // processor can have, and a root is a page of sections that is never freed.
    unsafe {
        let roots = bindings::mem_section;
        if roots.is_null() || section >= sections() {
            return false;
        }
        let root = roots.add((section / a_root) as usize).read_volatile();
        if root.is_null() {
            return false;
        }
        let at = (section % a_root * size) as usize + offset!(section_mem_map);
        root.add(at).cast::<u64>().read_volatile() & SECTION_IS_ONLINE != 0
    }
}

/// How many sections the kernel's table has room for: MAX_PHYSMEM_BITS is 52 with five
/// levels of page tables, and 46 with four.
fn sections() -> u64 {
    match crate::user::paging_levels() {
        5 => SECTIONS_MAX,
        _ => 1 << (46 - 27),
    }
}

impl Descriptor {
    pub(crate) fn as_ptr(self) -> *const c_void {
        self.0
    }

    /// Whether the hardware reported the page, or the large page of hugetlbfs around it. The
    /// descriptor does not tell that file system's pages on all kernels, so a page within
    /// any other large page that begins with a poisoned one counts as poisoned as well.
    pub(crate) fn is_poisoned(self) -> bool {
        self.has_poison_flag() || self.head().has_poison_flag()
    }

    fn has_poison_flag(self) -> bool {
        match fact!(poisoned_bit) {
            bit @ 0..64 => self.word(offset!(page_flags)) >> bit & 1 != 0,
            _ => false,
        }
    }

    /// The first page of the larger one that this page is a part of.
    fn head(self) -> Self {
        let info = self.word(offset!(page_compound));
        if info & 1 == 0 {
            return self;
        }
        let own = self.0 as u64;
        let head = if info >= MASKS { own & info } else { info - 1 };
        // The page can become part of something else while this looks at it.
        let size = u64::from(fact!(page_size));
        let is_near = head <= own && own - head < LARGEST_PAGE * size;
        // SAFETY: Reads a variable that is fixed at boot.
        if is_near && head >= unsafe { bindings::vmemmap_base } {
            Self(head as *const c_void)
        } else {
            self
        }
    }

    /// Whether a hypervisor took the page back.
    pub(crate) fn is_offline(self) -> bool {
        self.kind() & fact!(offline_mask) == fact!(offline_type)
    }

    /// Whether the hypervisor has not handed the page over.
    pub(crate) fn is_unaccepted(self) -> bool {
        let mask = fact!(unaccepted_mask);
        mask != 0 && self.kind() & mask == fact!(unaccepted_type)
    }

    fn kind(self) -> u32 {
        // SAFETY: As `word`.
        unsafe {
            self.0
                .byte_add(offset!(page_type))
                .cast::<u32>()
                .read_volatile()
        }
    }

    fn word(self, offset: usize) -> u64 {
        // SAFETY: The descriptor is there as long as memory is held, and `offset` is that
        // of one of its fields. Others may write to it at any time.
        unsafe { self.0.byte_add(offset).cast::<u64>().read_volatile() }
    }
}
