// SPDX-License-Identifier: MIT OR Apache-2.0
//! The section `.modinfo` of a kernel module: strings `name=value`.

use anyhow::{Context, Result};
use goblin::elf::{Elf, SectionHeader};

/// The values of `name` in `module`.
///
/// # Errors
/// When it is not an ELF file with such a section.
pub fn values(module: &[u8], name: &str) -> Result<Vec<String>> {
    let elf = Elf::parse(module).context("not an ELF file")?;
    let section = elf
        .section_headers
        .iter()
        .find(|section| elf.shdr_strtab.get_at(section.sh_name) == Some(".modinfo"))
        .and_then(SectionHeader::file_range)
        .and_then(|range| module.get(range))
        .context("no section .modinfo")?;
    let strings = section.split(|&byte| byte == 0);
    let strings = strings.filter_map(|string| std::str::from_utf8(string).ok());
    let values = strings.filter_map(|string| string.strip_prefix(name)?.strip_prefix('='));
    Ok(values.map(str::to_owned).collect())
}
