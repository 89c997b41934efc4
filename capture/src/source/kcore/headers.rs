// SPDX-License-Identifier: MIT OR Apache-2.0
//! The headers and notes of /proc/kcore.

use goblin::container::{Container, Ctx};
use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, ET_CORE};
use goblin::elf::header::{Header, header64::SIZEOF_EHDR};
use goblin::elf::program_header::{PT_NOTE, ProgramHeader, program_header64::SIZEOF_PHDR};
use goblin::error::Error as ElfError;
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::notes::Notes;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::num::u64_as_usize;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Larger notes are not read: the kernel writes a few KiB.
const MAX_NOTES_BYTES: u64 = 1 << 20;

/// The headers, and what is used of the notes.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) architecture: Architecture,
    /// The number of program headers.
    pub(super) segments: u16,
    pub(super) program: Vec<ProgramHeader>,
    /// The text of its VMCOREINFO note, if it has one (since Linux 4.19).
    pub(super) vmcoreinfo: Option<Vec<u8>>,
}

/// The file is not a kernel's core.
#[derive(Debug, thiserror::Error)]
pub(in crate::source) enum HeadersError {
    #[error("reading the ELF headers: {0}")]
    Read(#[from] io::Error),
    #[error("the ELF headers are damaged: {0}")]
    Elf(#[from] ElfError),
    #[error("not an ELF core of a kernel of x86-64 or arm64")]
    NotACore,
    #[error(
        "it is empty: something else is mounted over it, as containers do to hide it; run this \
         outside the container, or remove the mount as root (umount /proc/kcore)"
    )]
    Masked,
}

impl Headers {
    /// What the kernel says about itself.
    pub(super) fn kernel(&self) -> Option<Vmcoreinfo<'_>> {
        self.vmcoreinfo.as_deref().map(Vmcoreinfo::new)
    }
}

/// The number of program headers. It changes when memory is added or removed, which
/// moves the rest within the file.
pub(super) fn segment_count(file: &File) -> Result<u16, HeadersError> {
    Ok(file_header(file)?.0.e_phnum)
}

pub(super) fn read(file: &File) -> Result<Headers, HeadersError> {
    let (header, architecture) = file_header(file)?;
    let count = usize::from(header.e_phnum);
    // Both are 16-bit numbers.
    let mut table = vec![0; count * SIZEOF_PHDR];
    file.read_exact_at(&mut table, header.e_phoff)?;
    let ctx = Ctx::new(Container::Big, goblin::container::Endian::Little);
    let program = ProgramHeader::parse(&table, 0, count, ctx)?;
    let vmcoreinfo = program
        .iter()
        .filter(|header| header.p_type == PT_NOTE && header.p_filesz <= MAX_NOTES_BYTES)
        .find_map(|header| {
            let mut notes = vec![0; u64_as_usize(header.p_filesz)];
            file.read_exact_at(&mut notes, header.p_offset).ok()?;
            let info = Vmcoreinfo::from_notes(Notes::new(&notes))?;
            Some(info.as_bytes().to_vec())
        });
    Ok(Headers {
        architecture,
        segments: header.e_phnum,
        program,
        vmcoreinfo,
    })
}

fn file_header(file: &File) -> Result<(Header, Architecture), HeadersError> {
    let mut bytes = [0; SIZEOF_EHDR];
    // The kernel's file always has a header.
    if file.read_at(&mut bytes, 0)? == 0 {
        return Err(HeadersError::Masked);
    }
    file.read_exact_at(&mut bytes, 0)?;
    if !bytes.starts_with(ELFMAG) {
        return Err(HeadersError::NotACore);
    }
    let header = goblin::elf::Elf::parse_header(&bytes)?;
    let ident = |index: usize| header.e_ident.get(index).copied();
    let is_core = ident(EI_CLASS) == Some(ELFCLASS64)
        && ident(EI_DATA) == Some(ELFDATA2LSB)
        && header.e_type == ET_CORE
        && usize::from(header.e_phentsize) == SIZEOF_PHDR;
    match Architecture::from_elf_machine(header.e_machine).filter(|_| is_core) {
        Some(architecture) => Ok((header, architecture)),
        None => Err(HeadersError::NotACore),
    }
}
