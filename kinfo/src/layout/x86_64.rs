// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64 (Documentation/arch/x86/x86_64/mm.rst), under the kernel's names.

use super::{Layout, VirtRange};

/// `__START_KERNEL_map` (arch/x86/include/asm/page_64_types.h): the kernel's
/// image is mapped from here on, with 4 and with 5 levels of page tables.
pub const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// `KERNEL_IMAGE_SIZE` with KASLR: how far that mapping reaches at most. The
/// modules follow.
pub const KERNEL_IMAGE_SIZE: u64 = 1 << 30;
/// The default of `CONFIG_PHYSICAL_START`, which distributions keep: the offset of
/// `_text` in the image's mapping unless KASLR moves it.
pub const PHYSICAL_START: u64 = 0x100_0000;

/// Where the image is mapped.
pub(super) const IMAGE: VirtRange = VirtRange {
    start: START_KERNEL_MAP,
    end: START_KERNEL_MAP + KERNEL_IMAGE_SIZE,
};

pub(super) const LAYOUT: Layout = Layout {
    kernel_half: 0xff00_0000_0000_0000,
    // arch/x86/mm/kaslr.c moves it by whole entries of the second table from the top.
    direct_map_align: Some(1 << 30),
    image: Some(IMAGE),
    linked_text: Some(START_KERNEL_MAP + PHYSICAL_START),
    page_sizes: &[4 << 10],
};
