// SPDX-License-Identifier: GPL-2.0-only
//! The running kernel as the core sees it.

use crate::hotplug::Held;
use crate::linpmem_core::abi::{self, Info};
use crate::linpmem_core::access::Width;
use crate::linpmem_core::classify::{PageState, Region, Route};
use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::unaccepted::Units;
use crate::linpmem_core::walk::Paging;
use crate::linpmem_core::{Errno, Kernel};
use crate::{arch, device_memory, resources, shim, vmcoreinfo};

/// Flags of the resource tree's entries (include/linux/ioport.h).
pub(crate) const IORESOURCE_MEM: u64 = 0x200;
const IORESOURCE_SYSTEM_RAM: u64 = 0x0100_0000 | IORESOURCE_MEM;
pub(crate) const IORESOURCE_BUSY: u64 = 0x8000_0000;

/// An entry of the resource tree.
#[cfg_attr(
    CONFIG_ARM64,
    expect(dead_code, reason = "only x86-64 looks at what it is")
)]
#[derive(Clone, Copy)]
pub(crate) struct Resource {
    pub(crate) start: u64,
    /// The last address.
    pub(crate) end: u64,
    pub(crate) flags: u64,
    pub(crate) desc: u32,
}

/// The kernel that this module is loaded into.
pub(crate) struct RunningKernel;

impl Kernel for RunningKernel {
    type Held = Held;

    fn hold_memory(&self) -> Held {
        Held::new()
    }

    fn phys_bits(&self) -> u32 {
        arch::phys_bits()
    }

    fn next_ram(&self, from: u64, end: u64) -> Option<(u64, u64)> {
        let last = end.checked_sub(1)?;
        let mut found = None;
        let flags = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY;
        resources::walk(resources::desc_none(), flags, from, last, |extent| {
            found = Some((extent.start, extent.end.saturating_add(1)));
            false
        });
        found
    }

    fn ram_page(&self, _held: &Held, page: u64) -> PageState {
        // SAFETY: Takes any page frame number, and reads only the page's descriptor.
        match unsafe { shim::linpmem_ram_page(page / PAGE_SIZE) } {
            0 if is_unaccepted(page) => PageState::Unaccepted,
            0 => PageState::Online,
            2 => PageState::Offline,
            3 => PageState::Unaccepted,
            4 => PageState::Poisoned,
            _ => PageState::NotOnline,
        }
    }

    fn first_lost(&self, _held: &Held, start: u64, end: u64) -> Option<u64> {
        let (first, end) = (start / PAGE_SIZE, end.div_ceil(PAGE_SIZE));
        // SAFETY: The pages were online when `_held` was taken, so they have descriptors
        // until it is dropped.
        let lost = unsafe { shim::linpmem_first_lost(first, end) };
        (lost < end).then_some(lost * PAGE_SIZE)
    }

    fn region(&self, page: u64) -> Region {
        arch::region(page)
    }

    fn image_maps(&self, page: u64) -> bool {
        arch::image_address(page).is_some()
    }

    fn load(&self, route: Route, addr: u64, width: Width) -> Result<u64, Errno> {
        device_memory::load_by(route, addr, width)
    }

    fn paging(&self) -> Result<Paging, Errno> {
        arch::paging()
    }

    fn page_table(&self, pid: i32) -> Result<u64, Errno> {
        let mut root = 0;
        // SAFETY: `root` is written before the shim returns 0.
        match unsafe { shim::linpmem_page_table(pid, &mut root) } {
            0 => Ok(root),
            _ => Err(Errno::ESRCH),
        }
    }

    fn is_isolated(&self) -> bool {
        arch::is_isolated()
    }

    fn yield_now(&self) -> bool {
        // SAFETY: The core runs only in system calls and holds no lock, so the task
        // may sleep here.
        unsafe { shim::linpmem_yield() }
    }
}

/// Whether the page belongs to memory that the hypervisor has not handed over.
fn is_unaccepted(page: u64) -> bool {
    let mut units = Units {
        base: 0,
        unit_bytes: 0,
        bits: 0,
    };
    // SAFETY: The shim writes to the three fields if it returns true.
    let exists = unsafe {
        shim::linpmem_unaccepted_units(&mut units.base, &mut units.unit_bytes, &mut units.bits)
    };
    // SAFETY: `refuse` asks for bits of the bitmap only.
    exists && units.refuse(page, |unit| unsafe { shim::linpmem_is_unaccepted(unit) })
}

/// The answer to the INFO ioctl.
pub(crate) fn info(device_allowed: bool) -> Result<Info, Errno> {
    let always = abi::FEATURE_READ
        | abi::FEATURE_READ_PAGES
        | abi::FEATURE_TRANSLATE
        | abi::FEATURE_ORIGINAL;
    let keys = vmcoreinfo::keys()?;
    // SAFETY: These functions read values that are fixed at boot.
    let (vmcoreinfo_addr, vmcoreinfo_len) = unsafe {
        (
            shim::linpmem_vmcoreinfo_addr(),
            shim::linpmem_vmcoreinfo_len(),
        )
    };
    Ok(Info {
        size: core::mem::size_of::<Info>() as u32,
        abi_version: abi::ABI_VERSION,
        features: if device_allowed {
            always | abi::FEATURE_DEVICE
        } else {
            always
        },
        module_version: abi::MODULE_VERSION,
        phys_bits: RunningKernel.phys_bits(),
        paging_levels: arch::paging_levels(),
        architecture: arch::ARCHITECTURE,
        page_offset_base: arch::direct_map_base(),
        phys_base: arch::phys_base(),
        kaslr_offset: keys.kaslr_offset.unwrap_or(abi::UNKNOWN),
        kernel_page_table: arch::kernel_page_table(&keys).unwrap_or(abi::UNKNOWN),
        vmcoreinfo_addr,
        vmcoreinfo_len,
        encryption_mask: arch::encryption_mask(),
    })
}
