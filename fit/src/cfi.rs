// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signs of kCFI, which stops the kernel at an indirect call to a function whose type it
//! cannot check.

/// Whether a symbol is one of those that compilers make for kCFI.
pub(crate) fn is_symbol(name: &[u8]) -> bool {
    name.starts_with(b"__kcfi_typeid_") || name.starts_with(b"__cfi_")
}
