// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the headers of an ELF core and checking them against the file.

use super::Error;
use super::layout::{PHDR_BYTES, PN_XNUM, SHDR_BYTES};
use super::unplaced::Unplaced;
use super::xen;
use crate::ReadAt;
use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, ET_CORE, header64};
use goblin::elf::program_header::{PT_LOAD, PT_NOTE, program_header64};
use goblin::elf::section_header::section_header64;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange};
use scroll::{LE, Pread};

/// The headers of a core.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) loads: Vec<Load>,
    pub(super) notes: Vec<NoteSegment>,
    /// The segments that state that they have no physical address. Usually they show
    /// memory that is in the file anyway under another virtual address.
    pub(super) unplaced: Vec<Unplaced>,
    /// How many segments have neither bytes in the file nor possible addresses.
    pub(super) impossible: u32,
    /// Whether the file ends within the program headers or the notes.
    pub(super) is_cut: bool,
    /// Which machine it is of, according to its file header.
    pub(super) machine: u16,
}

/// A segment of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) range: PhysRange,
    pub(super) vaddr: u64,
    pub(super) offset: u64,
    /// Bytes in the file, from the start of the range on; at most the range's length.
    pub(super) stored: PhysLen,
}

/// A segment of notes, as far as it is within the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoteSegment {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) align: u64,
}

/// The most program headers to accept; they alone take 56 MiB.
const MAX_SEGMENTS: u32 = 1 << 19;

/// Program headers to read at a time.
const BLOCK_HEADERS: u64 = 1024;

pub(super) fn read(source: &impl ReadAt) -> Result<Headers, Error> {
    let file = file_header(source)?;
    let count = segment_count(source, &file)?;
    if count == 0 && xen::is_guest(source, &file) {
        return Err(Error::XenGuest);
    }
    let phdr_bytes = usize_as_u64(PHDR_BYTES);
    // What is left of a core that ends within its table.
    let there = source.len().saturating_sub(file.e_phoff) / phdr_bytes;
    let whole = u64::from(count);
    if there == 0 && count > 0 {
        within(
            source,
            "table of program headers",
            file.e_phoff,
            whole * phdr_bytes,
        )?;
    }
    let mut headers = Headers {
        is_cut: there < whole,
        machine: file.e_machine,
        ..Headers::default()
    };
    let count = u32::try_from(there.min(whole)).unwrap_or(count);
    let mut block = Vec::new();
    let mut index: u32 = 0;
    while index < count {
        // The table is within the file: the sum does not overflow.
        let offset = file.e_phoff + u64::from(index) * phdr_bytes;
        let headers_left = u64::from(count - index).min(BLOCK_HEADERS);
        block.resize(u64_as_usize(headers_left * phdr_bytes), 0);
        source
            .read_exact_at(offset, &mut block)
            .map_err(|source| Error::Io { offset, source })?;
        for encoded in block.chunks_exact(PHDR_BYTES) {
            let header: program_header64::ProgramHeader = encoded
                .pread_with(0, LE)
                .map_err(|_| damaged(index, "it is cut off"))?;
            headers.take(source, index, &header)?;
            index += 1;
        }
    }
    Ok(headers)
}

impl Headers {
    fn take(
        &mut self,
        source: &impl ReadAt,
        index: u32,
        header: &program_header64::ProgramHeader,
    ) -> Result<(), Error> {
        match header.p_type {
            PT_NOTE => {
                let there = source.len().saturating_sub(header.p_offset);
                self.is_cut |= there < header.p_filesz;
                self.notes.push(NoteSegment {
                    offset: header.p_offset,
                    len: header.p_filesz.min(there),
                    align: header.p_align,
                });
            }
            PT_LOAD if header.p_paddr == u64::MAX => self.unplaced.push(Unplaced {
                vaddr: header.p_vaddr,
                offset: header.p_offset,
                stored: header.p_filesz.min(header.p_memsz),
                memsz: header.p_memsz,
            }),
            PT_LOAD if header.p_memsz == 0 && header.p_filesz == 0 => {}
            PT_LOAD => {
                if header.p_filesz > header.p_memsz {
                    return Err(damaged(
                        index,
                        "it has more bytes in the file than in memory",
                    ));
                }
                let start = PhysAddr::new(header.p_paddr);
                let range = match PhysRange::from_len(start, PhysLen::new(header.p_memsz)) {
                    Ok(range) => range,
                    // Whatever it covers, the file has nothing of it.
                    Err(_) if header.p_filesz == 0 => {
                        self.impossible += 1;
                        return Ok(());
                    }
                    Err(_) => return Err(damaged(index, "its addresses exceed 64 bits")),
                };
                if header.p_offset.checked_add(header.p_filesz).is_none() {
                    return Err(damaged(index, "its data ends beyond 2^64 bytes"));
                }
                self.loads.push(Load {
                    range,
                    vaddr: header.p_vaddr,
                    offset: header.p_offset,
                    stored: PhysLen::new(header.p_filesz),
                });
            }
            _ => {}
        }
        Ok(())
    }
}

fn file_header(source: &impl ReadAt) -> Result<header64::Header, Error> {
    let mut encoded = [0; header64::SIZEOF_EHDR];
    within(source, "file header", 0, usize_as_u64(encoded.len()))?;
    source
        .read_exact_at(0, &mut encoded)
        .map_err(|source| Error::Io { offset: 0, source })?;
    if !encoded.starts_with(ELFMAG) {
        return Err(Error::NotThisKind("it is not an ELF file"));
    }
    if encoded.get(EI_CLASS) != Some(&ELFCLASS64) {
        return Err(Error::NotThisKind("it is not 64-bit"));
    }
    if encoded.get(EI_DATA) != Some(&ELFDATA2LSB) {
        return Err(Error::NotThisKind("it is not little-endian"));
    }
    let header: header64::Header = encoded
        .pread_with(0, LE)
        .map_err(|_| Error::Header("its file header is cut off"))?;
    if header.e_type != ET_CORE {
        return Err(Error::NotThisKind("it is not a core file"));
    }
    Ok(header)
}

fn segment_count(source: &impl ReadAt, file: &header64::Header) -> Result<u32, Error> {
    if usize::from(file.e_phentsize) != PHDR_BYTES && file.e_phnum != 0 {
        return Err(Error::Header("its program headers are not 56 bytes each"));
    }
    if file.e_phnum != PN_XNUM {
        return Ok(u32::from(file.e_phnum));
    }
    if file.e_shoff == 0 || usize::from(file.e_shentsize) != SHDR_BYTES {
        return Err(Error::Header(
            "it lacks the section header that holds the number of program headers",
        ));
    }
    let mut encoded = [0; SHDR_BYTES];
    within(
        source,
        "first section header",
        file.e_shoff,
        usize_as_u64(encoded.len()),
    )?;
    source
        .read_exact_at(file.e_shoff, &mut encoded)
        .map_err(|source| Error::Io {
            offset: file.e_shoff,
            source,
        })?;
    let section: section_header64::SectionHeader = encoded
        .pread_with(0, LE)
        .map_err(|_| Error::Header("its first section header is cut off"))?;
    if section.sh_info > MAX_SEGMENTS {
        return Err(Error::TooManySegments {
            count: section.sh_info,
            limit: MAX_SEGMENTS,
        });
    }
    Ok(section.sh_info)
}

fn within(source: &impl ReadAt, what: &'static str, offset: u64, len: u64) -> Result<(), Error> {
    let file = source.len();
    match offset.checked_add(len) {
        Some(end) if end <= file => Ok(()),
        _ => Err(Error::BeyondFile {
            what,
            offset,
            len,
            file,
        }),
    }
}

fn damaged(index: u32, what: &'static str) -> Error {
    Error::Segment { index, what }
}
