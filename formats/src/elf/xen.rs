// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recognising the core of a Xen guest, as `xl dump-core` and `virsh dump` write it.
//!
//! It has sections instead of program headers (docs/misc/dump-core-format.txt of Xen):
//! `.note.Xen`, `.xen_pages` and the table that says which page of the guest each of them is.

use super::layout::SHDR_BYTES;
use crate::ReadAt;
use goblin::elf::header::header64;
use goblin::elf::section_header::section_header64;
use linpmem_phys::num::{u32_as_usize, u64_as_usize};
use scroll::{LE, Pread};

/// The section that holds the pages.
const PAGES: &[u8] = b".xen_pages\0";

/// Xen writes ten sections at most, with names of 20 bytes.
const MAX_SECTIONS: u16 = 64;
const MAX_NAMES_BYTES: u64 = 4096;

/// Whether the core with this `file` header is one.
pub(super) fn is_guest(source: &impl ReadAt, file: &header64::Header) -> bool {
    has_pages(source, file).unwrap_or(false)
}

fn has_pages(source: &impl ReadAt, file: &header64::Header) -> Option<bool> {
    if usize::from(file.e_shentsize) != SHDR_BYTES || file.e_shnum > MAX_SECTIONS {
        return None;
    }
    let mut table = vec![0; usize::from(file.e_shnum).checked_mul(SHDR_BYTES)?];
    source.read_exact_at(file.e_shoff, &mut table).ok()?;
    let sections: Vec<section_header64::SectionHeader> = table
        .chunks_exact(SHDR_BYTES)
        .filter_map(|encoded| encoded.pread_with(0, LE).ok())
        .collect();
    let names = sections.get(usize::from(file.e_shstrndx))?;
    let len = names.sh_size.min(MAX_NAMES_BYTES);
    let mut text = vec![0; u64_as_usize(len.min(source.len()))];
    source.read_exact_at(names.sh_offset, &mut text).ok()?;
    let is_pages = |section: &section_header64::SectionHeader| {
        let name = text.get(u32_as_usize(section.sh_name)..);
        name.is_some_and(|name| name.starts_with(PAGES))
    };
    Some(sections.iter().any(is_pages))
}
