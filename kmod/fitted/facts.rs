// SPDX-License-Identifier: GPL-2.0-only
//! What fitting says about this kernel.

use crate::linpmem_core::layout::{Layout, LAYOUT_VERSION, RELEASE_ROOM};

/// The table, which fitting fills in.
#[no_mangle]
#[link_section = ".data"]
#[allow(non_upper_case_globals)]
static mut linpmem_layout: Layout = Layout::UNFITTED;

/// The release of the kernel that these facts are of, which fitting fills in.
#[no_mangle]
#[link_section = ".data"]
#[allow(non_upper_case_globals)]
static mut linpmem_release: [u8; RELEASE_ROOM] = [0; RELEASE_ROOM];

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

/// Whether these are facts of the kernel with this release.
pub(crate) fn are_of(release: &[u8]) -> bool {
    // SAFETY: Nobody writes it any more. The compiler must not take it for what it is in the
    // object.
    let own = unsafe { (&raw const linpmem_release).read_volatile() };
    let own = own.split(|&byte| byte == 0).next();
    own == Some(release)
}
