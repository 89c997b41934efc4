// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The ioctls of /dev/linpmem: numbers and structs, little endian, the same on x86-64 and
//! arm64.
//!
//! `include/linpmem.h` declares the same for C; a test checks that the two agree.
//!
//! Every struct begins with its own size in bytes, as the caller knows it. The module
//! writes at most that many bytes, sets fields that it does not know to zero, and
//! returns the number of bytes that it filled in the size field. So old callers work
//! with new modules, and new callers with old ones. The size in an ioctl's number is
//! that of the struct's first version and never changes.

use core::mem::size_of;

/// Version of this ABI. It increases when something is added; nothing is removed.
pub const ABI_VERSION: u32 = 1;

/// The module's own version: 8 bits major, 8 bits minor, 16 bits patch.
pub const MODULE_VERSION: u32 = 0x0001_0000;

/// The type byte of this ABI's ioctls. The original Linpmem uses `'a'`.
pub const IOCTL_TYPE: u32 = 0xbe;

/// [`Info`], in and out.
pub const IOCTL_INFO: u32 = iowr(0x01, size_of::<Info>());

/// [`Read`], in and out.
pub const IOCTL_READ: u32 = iowr(0x02, size_of::<Read>());
/// [`SetAccess`], in.
pub const IOCTL_SET_ACCESS: u32 = iowr(0x03, size_of::<SetAccess>());
/// [`Translate`], in and out.
pub const IOCTL_TRANSLATE: u32 = iowr(0x04, size_of::<Translate>());
/// [`PageTable`], in and out.
pub const IOCTL_PAGE_TABLE: u32 = iowr(0x05, size_of::<PageTable>());
/// [`Load`], in and out.
pub const IOCTL_LOAD: u32 = iowr(0x06, size_of::<Load>());

/// read(2), pread(2) and lseek(2) take physical addresses.
pub const FEATURE_READ: u64 = 1 << 0;
/// [`IOCTL_READ`] and [`IOCTL_LOAD`].
pub const FEATURE_READ_PAGES: u64 = 1 << 1;
/// [`IOCTL_TRANSLATE`] and [`IOCTL_PAGE_TABLE`].
pub const FEATURE_TRANSLATE: u64 = 1 << 2;
/// The ioctls of the original Linpmem ([`original`](super::original)).
pub const FEATURE_ORIGINAL: u64 = 1 << 3;
/// The module was loaded with `allow_device=1`, so requests may use [`ACCESS_DEVICE`].
pub const FEATURE_DEVICE: u64 = 1 << 4;

/// Read device memory and holes too. Reading a device can have side effects, so this
/// also needs the module parameter `allow_device=1`.
pub const ACCESS_DEVICE: u32 = 1 << 0;
/// Map memory other than RAM cached.
pub const ACCESS_CACHED: u32 = 1 << 1;
/// Map memory other than RAM uncached.
pub const ACCESS_UNCACHED: u32 = 1 << 2;
/// Read RAM that is not in the kernel's direct map (memfd_secret).
pub const ACCESS_UNMAPPED: u32 = 1 << 3;
/// All access bits.
pub const ACCESS_ALL: u32 = ACCESS_DEVICE | ACCESS_CACHED | ACCESS_UNCACHED | ACCESS_UNMAPPED;

/// [`Info::architecture`]: x86-64.
pub const ARCHITECTURE_X86_64: u32 = 0;
/// [`Info::architecture`]: arm64.
pub const ARCHITECTURE_ARM64: u32 = 1;

/// The most bytes that one [`Read`] handles.
pub const READ_MAX_BYTES: u64 = 1 << 30;

/// [`Translate::outcome`]: the address is mapped.
pub const OUTCOME_MAPPED: u32 = 1;
/// [`Translate::outcome`]: the last entry read is not present.
pub const OUTCOME_NOT_PRESENT: u32 = 2;
/// [`Translate::outcome`]: the next page table cannot be read, for the reason in
/// [`Translate::error`].
pub const OUTCOME_BROKEN: u32 = 3;

/// [`Translate::rights`]: every entry is writable.
pub const RIGHT_WRITE: u32 = 1 << 0;
/// [`Translate::rights`]: every entry is accessible from user mode.
pub const RIGHT_USER: u32 = 1 << 1;
/// [`Translate::rights`]: no entry forbids execution.
pub const RIGHT_EXECUTE: u32 = 1 << 2;
/// [`Translate::rights`]: mapped, but any access faults (PROT_NONE).
pub const RIGHT_NONE: u32 = 1 << 3;

/// The value of [`Info::kaslr_offset`] and [`Info::kernel_page_table`] if the kernel does
/// not provide them.
pub const UNKNOWN: u64 = u64::MAX;

/// Facts about the module and the machine. Offsets and sizes are in bytes:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `size` |
/// | 4 | 4 | `abi_version` |
/// | 8 | 8 | `features` |
/// | 16 | 4 | `module_version` |
/// | 20 | 4 | `phys_bits` |
/// | 24 | 4 | `paging_levels` |
/// | 28 | 4 | `architecture` |
/// | 32 | 8 | `page_offset_base` |
/// | 40 | 8 | `phys_base` |
/// | 48 | 8 | `kaslr_offset` |
/// | 56 | 8 | `kernel_page_table` |
/// | 64 | 8 | `vmcoreinfo_addr` |
/// | 72 | 8 | `vmcoreinfo_len` |
/// | 80 | 8 | `encryption_mask` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// In: the size of the caller's struct. Out: how many bytes the module filled.
    pub size: u32,
    /// [`ABI_VERSION`].
    pub abi_version: u32,
    /// `FEATURE_*` bits.
    pub features: u64,
    /// [`MODULE_VERSION`].
    pub module_version: u32,
    /// Bits of a physical address (`x86_phys_bits`; on arm64 those that page tables can
    /// hold).
    pub phys_bits: u32,
    /// Levels of the page tables: 4 or 5. On arm64 those of user space: 2 to 5.
    pub paging_levels: u32,
    /// `ARCHITECTURE_*`.
    pub architecture: u32,
    /// Virtual address of physical address 0 in the kernel's direct map, which on arm64 can
    /// be outside it: addition wraps.
    pub page_offset_base: u64,
    /// Physical address of the start of the kernel's text mapping, two's complement. On
    /// arm64, where that has no fixed start, of virtual address 0: −`kimage_voffset`.
    pub phys_base: u64,
    /// The KASLR offset: how far the kernel's text is from its link address, or
    /// [`UNKNOWN`].
    pub kaslr_offset: u64,
    /// Physical address of the kernel's own top page table (TTBR1 on arm64), or [`UNKNOWN`].
    pub kernel_page_table: u64,
    /// Physical address of the VMCOREINFO note; 0 if there is none.
    pub vmcoreinfo_addr: u64,
    /// The space reserved for the note in bytes, including its header and padding.
    pub vmcoreinfo_len: u64,
    /// The page-table bit that marks encrypted memory (`sme_me_mask`), or 0.
    pub encryption_mask: u64,
}

const _: () = assert!(size_of::<Info>() == 88);

/// A read of any length, with the status of every page that it touches.
///
/// The module handles at most [`READ_MAX_BYTES`] per call, and stops early at a signal
/// and where the caller's memory ends; `done` says how far it got. A page that could
/// not be read is zero in the buffer, and its status is an errno.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `size` |
/// | 4 | 4 | `access` |
/// | 8 | 8 | `addr` |
/// | 16 | 8 | `len` |
/// | 24 | 8 | `buffer` |
/// | 32 | 8 | `statuses` |
/// | 40 | 8 | `done` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// In: the size of the caller's struct. Out: how many bytes the module filled.
    pub size: u32,
    /// In: `ACCESS_*` bits for this read only, in addition to the file's.
    pub access: u32,
    /// In: physical address of the first byte.
    pub addr: u64,
    /// In: bytes.
    pub len: u64,
    /// In: address of a buffer of `len` bytes.
    pub buffer: u64,
    /// In: address of the statuses, one byte for each page that `addr..addr+len`
    /// touches. Out: 0 for a page that was read, else an errno.
    pub statuses: u64,
    /// Out: how many bytes of `buffer` are filled.
    pub done: u64,
}

/// Sets what the open file may read from now on, by read(2) and by every ioctl.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `size` |
/// | 4 | 4 | `access` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAccess {
    /// In: the size of the caller's struct. Out: how many bytes the module filled.
    pub size: u32,
    /// In: `ACCESS_*` bits, which replace the previous ones.
    pub access: u32,
}

/// One load of 1, 2, 4 or 8 bytes: never split, never repeated.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `size` |
/// | 4 | 4 | `access` |
/// | 8 | 8 | `addr` |
/// | 16 | 8 | `value` |
/// | 24 | 4 | `width` |
/// | 28 | 4 | `reserved` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// In: the size of the caller's struct. Out: how many bytes the module filled.
    pub size: u32,
    /// In: `ACCESS_*` bits for this load only, in addition to the file's.
    pub access: u32,
    /// In: physical address, a multiple of `width`.
    pub addr: u64,
    /// Out: the value, zero-extended.
    pub value: u64,
    /// In: 1, 2, 4 or 8.
    pub width: u32,
    /// Zero.
    pub reserved: u32,
}

/// Translates a virtual address.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `size` |
/// | 4 | 4 | `outcome` |
/// | 8 | 8 | `virt` |
/// | 16 | 8 | `page_table` |
/// | 24 | 8 | `phys` |
/// | 32 | 8 | `page_bytes` |
/// | 40 | 4 | `rights` |
/// | 44 | 4 | `error` |
/// | 48 | 4 | `steps` |
/// | 52 | 4 | `levels` |
/// | 56 | 80 | `entries`: five pairs of 8 bytes address, 8 bytes value |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translate {
    /// In: the size of the caller's struct. Out: how many bytes the module filled.
    pub size: u32,
    /// Out: `OUTCOME_*`.
    pub outcome: u32,
    /// In: the virtual address.
    pub virt: u64,
    /// In: a CR3 value or the physical address of a top page table; 0 is the caller's. On
    /// arm64, a TTBR0 value or that table's address; with more than 48 physical address bits,
    /// the address alone. An address of the kernel is translated by TTBR1 there. Out: the
    /// physical address of the table that was used.
    pub page_table: u64,
    /// Out: the physical address, if mapped.
    pub phys: u64,
    /// Out: what one entry maps in bytes, if mapped: 4 KiB, 2 MiB or 1 GiB; on arm64 from
    /// 4 KiB to 4 TiB.
    pub page_bytes: u64,
    /// Out: `RIGHT_*` bits.
    pub rights: u32,
    /// Out: the errno that ended the walk, if broken.
    pub error: u32,
    /// Out: how many of `entries` were read.
    pub steps: u32,
    /// Out: levels of the page tables: 4 or 5; on arm64 2 to 5.
    pub levels: u32,
    /// Out: the entries that were read, from the top table down.
    pub entries: [Entry; 5],
}

/// A page-table entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its physical address.
    pub addr: u64,
    /// Its value.
    pub value: u64,
}

/// The page tables of a process.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `size` |
/// | 4 | 4 | `pid` |
/// | 8 | 8 | `kernel` |
/// | 16 | 8 | `user` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageTable {
    /// In: the size of the caller's struct. Out: how many bytes the module filled.
    pub size: u32,
    /// In: a process id in the caller's pid namespace; 0 is the caller.
    pub pid: i32,
    /// Out: physical address of its top page table for kernel mode; on arm64 of the one in
    /// TTBR0. The one in TTBR1 is [`Info::kernel_page_table`].
    pub kernel: u64,
    /// Out: the same for user mode. The two differ if page-table isolation is on; on arm64
    /// they do not.
    pub user: u64,
}

const _: () = {
    assert!(size_of::<Read>() == 48);
    assert!(size_of::<SetAccess>() == 8);
    assert!(size_of::<Load>() == 32);
    assert!(size_of::<Translate>() == 136);
    assert!(size_of::<PageTable>() == 24);
};

/// Direction, type and number of an ioctl, without the size of its struct.
#[must_use]
pub const fn without_size(cmd: u32) -> u32 {
    cmd & !(0x3fff << 16)
}

/// `_IOWR(IOCTL_TYPE, nr, size)` of include/uapi/asm-generic/ioctl.h.
#[expect(
    clippy::as_conversions,
    reason = "sizes of structs are below 2^14, and From is not const"
)]
const fn iowr(nr: u32, size: usize) -> u32 {
    assert!(size < 1 << 14, "14 bits hold the size");
    3 << 30 | (size as u32) << 16 | IOCTL_TYPE << 8 | nr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_match_the_c_header() {
        assert_eq!(IOCTL_INFO, 0xc058_be01);
        assert_eq!(without_size(IOCTL_INFO), 0xc000_be01);
        assert_eq!(IOCTL_TRANSLATE, 0xc088_be04);
    }
}
