// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! VMCOREINFO, which describes the running kernel in lines of `KEY=VALUE`
//! (Documentation/admin-guide/kdump/vmcoreinfo.rst).

/// Virtual address of the start of the kernel's text mapping (`__START_KERNEL_map`).
const TEXT_MAP: u64 = 0xffff_ffff_8000_0000;

/// What the module tells of it. The text may begin with the note's ELF header: a key is
/// looked for at the start of a line, so the header can hide a key on the first line, and
/// on no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The KASLR offset of the kernel's text.
    pub kaslr_offset: Option<u64>,
    /// Physical address of the kernel's top page table.
    pub kernel_page_table: Option<u64>,
}

/// Bytes of the ELF note's header in front of the text, with the name "VMCOREINFO".
const NOTE_HEADER: usize = 24;

/// The kernel's release, from the note with its header: the first line.
#[must_use]
pub fn release(note: &[u8]) -> Option<&[u8]> {
    value(note.get(NOTE_HEADER..)?, b"OSRELEASE")
}

impl Keys {
    /// Of a kernel with this `phys_base`.
    #[must_use]
    pub fn parse(text: &[u8], phys_base: u64) -> Self {
        Self {
            kaslr_offset: kaslr_offset(text),
            kernel_page_table: kernel_page_table(text, phys_base),
        }
    }
}

/// The KASLR offset of the kernel's text.
fn kaslr_offset(text: &[u8]) -> Option<u64> {
    hex(value(text, b"KERNELOFFSET")?)
}

/// Physical address of the kernel's top page table, given its `phys_base`.
fn kernel_page_table(text: &[u8], phys_base: u64) -> Option<u64> {
    let virt = hex(value(text, b"SYMBOL(swapper_pg_dir)")?)?;
    // `phys_base` is two's complement: adding a negative one wraps.
    Some(virt.checked_sub(TEXT_MAP)?.wrapping_add(phys_base))
}

/// The value of `key`.
fn value<'t>(text: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    text.split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(b"="))
}

/// A hexadecimal number without a prefix, as printk's `%lx` writes it.
fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |sum: u64, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(sum << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"OSRELEASE=7.3.4\nPAGESIZE=4096\n\
        SYMBOL(swapper_pg_dir)=ffffffffb7a20000\nKERNELOFFSET=34200000\n\
        NUMBER(phys_base)=-855638016\n";

    #[test]
    fn finds_the_offset_and_the_page_table() {
        assert_eq!(kaslr_offset(TEXT), Some(0x3420_0000));
        let phys_base = u64::from_ne_bytes((-855_638_016_i64).to_ne_bytes());
        assert_eq!(
            kernel_page_table(TEXT, phys_base),
            Some(0x37a2_0000 - 0x3300_0000)
        );
    }

    #[test]
    fn the_release_is_behind_the_notes_header() {
        let mut note = [b'x'; NOTE_HEADER + TEXT.len()];
        note[NOTE_HEADER..].copy_from_slice(TEXT);
        assert_eq!(release(&note), Some(&b"7.3.4"[..]));
        assert_eq!(release(TEXT), None);
        assert_eq!(release(&note[..NOTE_HEADER - 1]), None);
    }

    #[test]
    fn refuses_invalid_numbers() {
        assert_eq!(kaslr_offset(b"KERNELOFFSET=\n"), None);
        assert_eq!(kaslr_offset(b"KERNELOFFSET=0x10\n"), None);
        assert_eq!(kaslr_offset(b"KERNELOFFSET=11111111111111111\n"), None);
        assert_eq!(kaslr_offset(b"XKERNELOFFSET=1\n"), None);
        assert_eq!(kernel_page_table(b"SYMBOL(swapper_pg_dir)=1000", 0), None);
    }
}
