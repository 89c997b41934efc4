// SPDX-License-Identifier: GPL-2.0-only
//! The running kernel as the core sees it.

use crate::hotplug::Held;
use crate::linpmem_core::abi::{self, Info};
use crate::linpmem_core::access::Width;
use crate::linpmem_core::classify::{PageState, Region, Route};
use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::layout::REGION_DISJOINT;
use crate::linpmem_core::unaccepted::Units;
use crate::linpmem_core::walk::Paging;
use crate::linpmem_core::{resource, Errno, Kernel};
use crate::{bindings, device_memory, resources, shim, vmcoreinfo};

/// Flags of the resource tree's entries (include/linux/ioport.h).
const IORESOURCE_MEM: u64 = 0x200;
const IORESOURCE_READONLY: u64 = 0x4000;
const IORESOURCE_SYSTEM_RAM: u64 = 0x0100_0000 | IORESOURCE_MEM;
const IORESOURCE_BUSY: u64 = 0x8000_0000;

/// An entry of the resource tree.
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
        // SAFETY: Reads a value that is fixed at boot.
        unsafe { shim::linpmem_phys_bits() }
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
        let is_firmware = resources::firmware()
            .into_iter()
            .filter(|desc| *desc != resources::desc_reserved() || !is_confidential())
            .any(|desc| has_firmware(page, desc));
        if resource::is_fabric(page) {
            return Region::Other;
        }
        match inhabitants(page) {
            Inhabitants { device: true, .. } => Region::Other,
            Inhabitants { rom: true, .. } => Region::Rom,
            Inhabitants { .. } if is_firmware => Region::Firmware,
            Inhabitants { .. } => Region::Other,
        }
    }

    fn load(&self, route: Route, addr: u64, width: Width) -> Result<u64, Errno> {
        device_memory::load_by(route, addr, width)
    }

    fn paging(&self) -> Result<Paging, Errno> {
        // SAFETY: These functions read values that are fixed at boot.
        unsafe {
            if shim::linpmem_is_xen_pv() {
                return Err(Errno::EOPNOTSUPP);
            }
            Ok(Paging {
                levels: shim::linpmem_paging_levels(),
                phys_bits: self.phys_bits(),
                encryption_mask: shim::linpmem_encryption_mask(),
            })
        }
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
        // SAFETY: Reads a value that is fixed at boot.
        unsafe { shim::linpmem_is_isolated() }
    }

    fn yield_now(&self) -> bool {
        // SAFETY: The core runs only in system calls and holds no lock, so the task
        // may sleep here.
        unsafe { shim::linpmem_yield() }
    }
}

/// Whether this is a confidential virtual machine. What its firmware reserves can be
/// devices that the hypervisor emulates, and touching those as memory ends the machine.
fn is_confidential() -> bool {
    // SAFETY: Reads a value that is fixed at boot.
    unsafe { shim::linpmem_is_confidential() }
}

/// Whether the page has a resource with this description.
fn has_firmware(page: u64, desc: u32) -> bool {
    // SAFETY: Walks the resource tree under its lock, for any range.
    let answer = unsafe {
        bindings::region_intersects(page, PAGE_SIZE as usize, IORESOURCE_MEM as _, desc as _)
    };
    answer as i64 != i64::from(REGION_DISJOINT)
}

/// What there is in or around a page besides memory that the firmware reserves.
#[derive(Clone, Copy, Default)]
struct Inhabitants {
    device: bool,
    rom: bool,
}

/// Looks at the page's entries in the resource tree.
///
/// A walk finds the outermost entry of a kind and then goes on behind it, so that what
/// lies within stays unseen. So there is one walk over all entries, and one over those
/// that a driver has claimed, which `Reserved` has not. A device that neither finds is
/// recognised by its memory type: see [`mapping`](crate::mapping).
fn inhabitants(page: u64) -> Inhabitants {
    let mut found = Inhabitants::default();
    let last = page.saturating_add(PAGE_SIZE - 1);
    for flags in [IORESOURCE_MEM, IORESOURCE_MEM | IORESOURCE_BUSY] {
        resources::walk(resources::desc_none(), flags, page, last, |entry| {
            if entry.flags & IORESOURCE_READONLY != 0 {
                found.rom = true;
            } else if !resources::firmware().contains(&entry.desc) {
                found.device = true;
            }
            true
        });
    }
    found
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
    // SAFETY: These functions read values that are fixed at boot, or compute an address.
    let (vmcoreinfo_addr, vmcoreinfo_len, encryption_mask, paging_levels, base, phys_base) = unsafe {
        (
            shim::linpmem_vmcoreinfo_addr(),
            shim::linpmem_vmcoreinfo_len(),
            shim::linpmem_encryption_mask(),
            shim::linpmem_paging_levels(),
            shim::linpmem_direct_map(0),
            bindings::phys_base,
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
        paging_levels,
        reserved: 0,
        page_offset_base: base as u64,
        phys_base: phys_base as u64,
        kaslr_offset: keys.kaslr_offset.unwrap_or(abi::UNKNOWN),
        kernel_page_table: keys.kernel_page_table.unwrap_or(abi::UNKNOWN),
        vmcoreinfo_addr,
        vmcoreinfo_len,
        encryption_mask,
    })
}
