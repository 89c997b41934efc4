// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF cores, parsed by goblin alone.

use super::{MappedFile, Piece};
use anyhow::{Context, Result, ensure};
use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::ET_CORE;
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use goblin::elf64::header::{Header, SIZEOF_EHDR};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The memory in the PT_LOAD segments of the ELF core at `path`, by physical address.
///
/// # Errors
/// If it is not an ELF64 core, or a segment is truncated or overlaps another.
pub fn open_elf(path: &Path) -> Result<MappedFile> {
    let pieces = || -> Result<(File, Vec<Piece>)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = [0; SIZEOF_EHDR];
        file.read_exact_at(&mut head, 0).context("the ELF header")?;
        let header = Header::from_bytes(&head);
        ensure!(head.starts_with(b"\x7fELF"), "not an ELF file");
        ensure!(header.e_type == ET_CORE, "not a core file");
        let count = usize::from(header.e_phnum);
        let size = count * usize::from(header.e_phentsize);
        let mut table = vec![0; size];
        file.read_exact_at(&mut table, header.e_phoff)
            .context("the program headers")?;
        let context = Ctx::new(Container::Big, Endian::Little);
        let mut pieces = Vec::new();
        for segment in ProgramHeader::parse(&table, 0, count, context)? {
            // The alias of the kernel's text has no physical address.
            if segment.p_type != PT_LOAD || segment.p_paddr == u64::MAX {
                continue;
            }
            let (start, len) = (
                PhysAddr::new(segment.p_paddr),
                PhysLen::new(segment.p_filesz),
            );
            let range = PhysRange::from_len(start, len)?;
            let end = segment.p_offset.checked_add(segment.p_filesz);
            ensure!(
                end.is_some_and(|end| end <= length),
                "the segment {range} is truncated"
            );
            pieces.push(Piece {
                range,
                offset: segment.p_offset,
            });
        }
        Ok((file, pieces))
    };
    let (file, pieces) = pieces().with_context(|| format!("reading {}", path.display()))?;
    MappedFile::new(file, pieces).with_context(|| format!("reading {}", path.display()))
}
