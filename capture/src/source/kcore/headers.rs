// SPDX-License-Identifier: MIT OR Apache-2.0
//! The head of /proc/kcore: program headers and notes.

use goblin::container::{Container, Ctx};
use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, ET_CORE};
use goblin::elf::header::{Header, header64::SIZEOF_EHDR};
use goblin::elf::note::NoteDataIterator;
use goblin::elf::program_header::{PT_NOTE, ProgramHeader, program_header64::SIZEOF_PHDR};
use goblin::error::Error as ElfError;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of notes that are read: the kernel writes a few KiB.
const MAX_NOTES_BYTES: u64 = 1 << 20;
/// The name of the kernel's note of itself, and its type.
const VMCOREINFO: (&str, u32) = ("VMCOREINFO", 0);

/// What the file says of itself.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) program: Vec<ProgramHeader>,
    /// The text of its VMCOREINFO note, if it has one (since Linux 4.19).
    pub(super) vmcoreinfo: Option<Vec<u8>>,
}

/// The head is not that of a kernel's core.
#[derive(Debug, thiserror::Error)]
pub(in crate::source) enum HeadersError {
    #[error("reading its headers: {0}")]
    Read(#[from] io::Error),
    #[error("its headers are damaged: {0}")]
    Elf(#[from] ElfError),
    #[error("it is no ELF core of an x86-64 kernel")]
    NotACore,
}

/// The number of program headers. Where in the file memory lies depends on it, so
/// that it tells whether memory was added or removed.
pub(super) fn segment_count(file: &File) -> Result<u16, HeadersError> {
    Ok(file_header(file)?.e_phnum)
}

pub(super) fn read(file: &File) -> Result<Headers, HeadersError> {
    let header = file_header(file)?;
    let count = usize::from(header.e_phnum);
    let mut table = vec![0; count.saturating_mul(SIZEOF_PHDR)];
    file.read_exact_at(&mut table, header.e_phoff)?;
    let ctx = Ctx::new(Container::Big, goblin::container::Endian::Little);
    let program = ProgramHeader::parse(&table, 0, count, ctx)?;
    let vmcoreinfo = program
        .iter()
        .filter(|header| header.p_type == PT_NOTE && header.p_filesz <= MAX_NOTES_BYTES)
        .find_map(|header| {
            let mut notes = vec![0; usize::try_from(header.p_filesz).ok()?];
            file.read_exact_at(&mut notes, header.p_offset).ok()?;
            vmcoreinfo(&notes, ctx)
        });
    Ok(Headers {
        program,
        vmcoreinfo,
    })
}

fn file_header(file: &File) -> Result<Header, HeadersError> {
    let mut bytes = [0; SIZEOF_EHDR];
    file.read_exact_at(&mut bytes, 0)?;
    if !bytes.starts_with(ELFMAG) {
        return Err(HeadersError::NotACore);
    }
    let header = goblin::elf::Elf::parse_header(&bytes)?;
    let ident = |index: usize| header.e_ident.get(index).copied();
    let is_core = ident(EI_CLASS) == Some(ELFCLASS64)
        && ident(EI_DATA) == Some(ELFDATA2LSB)
        && header.e_type == ET_CORE
        && header.e_machine == EM_X86_64
        && usize::from(header.e_phentsize) == SIZEOF_PHDR;
    if is_core {
        Ok(header)
    } else {
        Err(HeadersError::NotACore)
    }
}

fn vmcoreinfo(notes: &[u8], ctx: Ctx) -> Option<Vec<u8>> {
    let notes = NoteDataIterator {
        data: notes,
        size: notes.len(),
        offset: 0,
        ctx: (4, ctx),
    };
    let note = notes
        .map_while(Result::ok)
        .find(|note| (note.name, note.n_type) == VMCOREINFO)?;
    let text = note.desc.split(|&byte| byte == 0).next()?;
    (!text.is_empty()).then(|| text.to_vec())
}
