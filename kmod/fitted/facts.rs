// SPDX-License-Identifier: GPL-2.0-only
//! What fitting says about this kernel.

use crate::linpmem_core::layout::{Layout, LAYOUT_VERSION};

/// The table, which fitting fills in.
#[no_mangle]
#[link_section = ".data"]
#[allow(non_upper_case_globals)]
static mut linpmem_layout: Layout = Layout::UNFITTED;

/// Reads one fact.
macro_rules! fact {
    ($field:ident) => {
        $crate::facts::read(core::mem::offset_of!(
            $crate::linpmem_core::layout::Layout,
            $field
        ))
    };
}
/// As above, as an offset.
macro_rules! offset {
    ($field:ident) => {
        $crate::facts::fact!($field) as usize
    };
}
pub(crate) use {fact, offset};

/// The fact at this offset of the table.
///
/// The compiler must not take the table for what it is in the object.
pub(crate) fn read(offset: usize) -> u32 {
    // SAFETY: `fact!` gives the offset of a field, and nobody writes to the table.
    unsafe {
        (&raw const linpmem_layout)
            .byte_add(offset)
            .cast::<u32>()
            .read_volatile()
    }
}

/// Whether this module was fitted, by a program that knows this table.
pub(crate) fn is_fitted() -> bool {
    fact!(version) == LAYOUT_VERSION
}
