// SPDX-License-Identifier: GPL-2.0-only
//! The caller's memory: which addresses it can have, and the permission to touch it.

use crate::linpmem_core::kernel::PAGE_SIZE;
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// CR4: five levels of page tables.
const CR4_LA57: u64 = 1 << 12;
/// CR4: kernel mode may touch the caller's memory only between STAC and CLAC.
const CR4_SMAP: u64 = 1 << 21;

/// The first address that is not the caller's (TASK_SIZE_MAX).
static LIMIT: AtomicU64 = AtomicU64::new(0);
static HAS_SMAP: AtomicBool = AtomicBool::new(false);

fn cr4() -> u64 {
    let value: u64;
    // SAFETY: Kernel mode may read the register.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nostack, nomem, preserves_flags)) };
    value
}

/// Levels of page tables: 4 or 5.
pub(crate) fn paging_levels() -> u32 {
    if cr4() & CR4_LA57 != 0 {
        5
    } else {
        4
    }
}

/// Called once, while the module is being loaded.
pub(crate) fn measure_address_space() {
    let bits = if paging_levels() == 5 { 56 } else { 47 };
    LIMIT.store((1 << bits) - PAGE_SIZE, Ordering::Relaxed);
    HAS_SMAP.store(cr4() & CR4_SMAP != 0, Ordering::Relaxed);
}

/// Whether all `len` bytes at `addr` can be the caller's.
pub(crate) fn is_user(addr: u64, len: u64) -> bool {
    addr.checked_add(len)
        .is_some_and(|end| end <= LIMIT.load(Ordering::Relaxed))
}

/// While it lives, this code may touch the caller's memory. It must call nothing but copies.
pub(crate) struct Permit {
    has_smap: bool,
}

impl Permit {
    /// For addresses that were found to be the caller's. The processor does not begin
    /// with the access before it knows that, not even speculatively.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        let has_smap = HAS_SMAP.load(Ordering::Relaxed);
        // SAFETY: The processor has the instruction, and `drop` undoes it.
        unsafe {
            asm!("lfence", options(nostack, preserves_flags));
            if has_smap {
                asm!("stac", options(nostack));
            }
        }
        Self { has_smap }
    }
}

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        if self.has_smap {
            // SAFETY: The processor has the instruction.
            unsafe { asm!("clac", options(nostack)) };
        }
    }
}
