// SPDX-License-Identifier: MIT OR Apache-2.0
//! Types and constants for C.

/// An open device. Created by linpmem_open() or linpmem_open_path(), freed by
/// linpmem_close(). Threads may share a handle.
#[derive(Debug)]
pub struct linpmem {
    pub(crate) device: ::linpmem::Device,
}

/// Also read device memory and holes: this can have side effects on a device, and the
/// module has to be loaded with allow_device=1.
pub const LINPMEM_READ_DEVICE: u32 = 1;
/// Map non-RAM cached.
pub const LINPMEM_READ_CACHED: u32 = 2;
/// Map non-RAM uncached; needs LINPMEM_READ_DEVICE.
pub const LINPMEM_READ_UNCACHED: u32 = 4;
/// Also read RAM that is not in the kernel's direct map (memfd_secret).
pub const LINPMEM_READ_UNMAPPED: u32 = 8;

/// In linpmem_machine: the value is unknown.
pub const LINPMEM_NOT_KNOWN: u64 = u64::MAX;

/// linpmem_machine.architecture: x86-64.
pub const LINPMEM_MACHINE_X86_64: u32 = 0;
/// linpmem_machine.architecture: arm64.
pub const LINPMEM_MACHINE_ARM64: u32 = 1;

/// linpmem_walk.outcome: the address is mapped.
pub const LINPMEM_WALK_MAPPED: u32 = 1;
/// linpmem_walk.outcome: the last entry is not present.
pub const LINPMEM_WALK_NOT_PRESENT: u32 = 2;
/// linpmem_walk.outcome: the next table could not be read.
pub const LINPMEM_WALK_BROKEN: u32 = 3;

/// linpmem_walk.rights: every entry is writable.
pub const LINPMEM_MAY_WRITE: u32 = 1;
/// linpmem_walk.rights: every entry is open to user space.
pub const LINPMEM_MAY_USER: u32 = 2;
/// linpmem_walk.rights: no entry forbids execution.
pub const LINPMEM_MAY_EXECUTE: u32 = 4;
/// linpmem_walk.rights: mapped, but any access faults (PROT_NONE).
pub const LINPMEM_NO_ACCESS: u32 = 8;

/// What the module says about itself and the machine.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct linpmem_machine {
    /// Version of the module's ABI.
    pub abi_version: u32,
    /// 8 bits major, 8 bits minor, 16 bits patch.
    pub module_version: u32,
    /// LINPMEM_FEATURE_* bits of the kernel's header.
    pub features: u64,
    /// Bits of a physical address.
    pub phys_bits: u32,
    /// 4 or 5; on arm64 those of user space, 2 to 5.
    pub paging_levels: u32,
    /// Virtual address of physical address 0 in the kernel's direct map.
    pub page_offset_base: u64,
    /// Where the mapping of the kernel's image begins in physical memory; may be
    /// negative. On arm64 where virtual address 0 would be: -kimage_voffset.
    pub phys_base: i64,
    /// How far KASLR moved the kernel, or LINPMEM_NOT_KNOWN.
    pub kaslr_offset: u64,
    /// The kernel's own top page table (TTBR1 on arm64), or LINPMEM_NOT_KNOWN.
    pub kernel_page_table: u64,
    /// Physical address of the VMCOREINFO note, or 0.
    pub vmcoreinfo_addr: u64,
    /// Bytes of the note.
    pub vmcoreinfo_len: u64,
    /// The page-table bit that marks encrypted memory, or 0.
    pub encryption_mask: u64,
    /// LINPMEM_MACHINE_X86_64 or LINPMEM_MACHINE_ARM64.
    pub architecture: u32,
    /// Zero.
    pub reserved: u32,
}

/// A page-table entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct linpmem_walk_entry {
    /// Its physical address.
    pub addr: u64,
    /// Its value.
    pub value: u64,
}

/// A walk through page tables.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct linpmem_walk {
    /// LINPMEM_WALK_*.
    pub outcome: u32,
    /// Why the walk failed: an errno, or 0.
    pub error: u32,
    /// The physical address, if mapped.
    pub phys: u64,
    /// 4 KiB, 2 MiB or 1 GiB, if mapped; other sizes on arm64.
    pub page_bytes: u64,
    /// LINPMEM_MAY_* bits, if mapped.
    pub rights: u32,
    /// Levels of the page tables, 4 or 5; on arm64 2 to 5.
    pub levels: u32,
    /// The top page table that was used: on arm64 TTBR1's for an address of the kernel.
    pub page_table: u64,
    /// The number of entries read.
    pub entry_count: u32,
    /// Zero.
    pub reserved: u32,
    /// The entries read, from the top down.
    pub entries: [linpmem_walk_entry; 5],
}
