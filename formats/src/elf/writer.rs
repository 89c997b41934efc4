// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an ELF core, front to back.

use super::evidence::{self, Content};
use super::layout::{
    EHDR_BYTES, Layout, PHDR_BYTES, PN_XNUM, SHDR_BYTES, VMCOREINFO_NAME, VMCOREINFO_TYPE, bytes,
    too_big,
};
use super::range_note;
use crate::sequence::Sequence;
use crate::{Chunk, ImageOutput, ImagePlan, ImageWriter, ReadAt, WriteError};
use goblin::elf::header::{
    EI_CLASS, EI_DATA, EI_VERSION, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, ET_CORE, EV_CURRENT,
    SIZEOF_IDENT, header64,
};
use goblin::elf::note::Nhdr32;
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, program_header64};
use goblin::elf::section_header::{SHT_NULL, section_header64};
use linpmem_phys::{PAGE_SIZE, PhysLen};
use scroll::{LE, Pwrite, ctx::TryIntoCtx};
use std::sync::Arc;

/// Writes an ELF64 core file that crash, drgn, gdb, makedumpfile, libkdumpfile,
/// LeechCore and Volatility 3 all open.
///
/// Everything but the data is known from the plan and comes first, so the file
/// needs no seek. Pages that could not be read are zero in it; the format has no
/// word for them that could still be written at the end.
#[derive(Debug)]
pub struct Writer {
    plan: ImagePlan,
    layout: Layout,
    sequence: Sequence,
    evidence: Option<Content>,
    /// Where the chunk before ended in the file.
    position: u64,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If the file would pass 2^64 bytes or a table its 2^32 entries.
    pub fn new(plan: &ImagePlan) -> Result<Self, WriteError> {
        Self::merging(plan, PhysLen::ZERO)
    }

    /// A writer that puts ranges with less than `gap` between them into one
    /// segment, since some tools read no more than 144 of them. The gaps are zero;
    /// our own note tells them from memory.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn merging(plan: &ImagePlan, gap: PhysLen) -> Result<Self, WriteError> {
        Ok(Self {
            layout: Layout::new(plan, gap, None)?,
            sequence: Sequence::new(plan),
            plan: plan.clone(),
            evidence: None,
            position: 0,
        })
    }

    /// The same, and a note with `archive`, a tar archive compressed by zstd.
    ///
    /// # Errors
    /// As [`new`](Self::new); if the archive has more than
    /// [`MAX_ARTIFACTS_BYTES`](super::MAX_ARTIFACTS_BYTES).
    pub fn with_artifacts(
        plan: &ImagePlan,
        gap: PhysLen,
        archive: Arc<dyn ReadAt>,
    ) -> Result<Self, WriteError> {
        let evidence = Content::new(archive)?;
        Ok(Self {
            layout: Layout::new(plan, gap, Some(evidence.len()))?,
            evidence: Some(evidence),
            ..Self::merging(plan, gap)?
        })
    }

    /// Segments of memory that the core will have, the kernel's text aside.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.layout.segments.len()
    }

    /// All that comes before the data, but for the content of the evidence and the
    /// padding to a page border.
    fn preamble(&self) -> Result<Vec<u8>, WriteError> {
        let mut preamble = Vec::new();
        append::<_, EHDR_BYTES>(&mut preamble, self.file_header())?;
        append::<_, PHDR_BYTES>(&mut preamble, self.note_segment())?;
        for segment in &self.layout.segments {
            let start = segment.range.start().get();
            // What lies beyond the direct map's reach has no virtual address.
            let vaddr = self
                .plan
                .machine()
                .direct_map_base
                .and_then(|base| base.checked_add(start))
                .unwrap_or(0);
            let bytes = segment.range.len().get();
            append::<_, PHDR_BYTES>(
                &mut preamble,
                load(segment.offset, vaddr, start, bytes, bytes),
            )?;
        }
        if let Some(text) = self.layout.text {
            // Only gdb needs it. Longer in memory than in the file, it is passed over
            // by those who take segments for memory.
            let memory = text.bytes.saturating_add(PAGE_SIZE.get());
            append::<_, PHDR_BYTES>(
                &mut preamble,
                load(text.offset, text.vaddr, u64::MAX, text.bytes, memory),
            )?;
        }
        if self.layout.section_header.is_some() {
            append::<_, SHDR_BYTES>(&mut preamble, self.counting_section())?;
        }
        if let Some(text) = &self.plan.machine().vmcoreinfo {
            append_note(&mut preamble, VMCOREINFO_NAME, VMCOREINFO_TYPE, text)?;
        }
        let content = range_note::content(&self.plan, self.is_merged());
        append_note(&mut preamble, range_note::NAME, range_note::TYPE, &content)?;
        if let Some(evidence) = &self.evidence {
            append_note_head(
                &mut preamble,
                range_note::NAME,
                evidence::TYPE,
                evidence.len(),
            )?;
        }
        Ok(preamble)
    }

    fn is_merged(&self) -> bool {
        self.layout.segments.len() < self.plan.ranges().len()
    }

    fn file_header(&self) -> header64::Header {
        let mut ident = [0; SIZEOF_IDENT];
        for (byte, value) in ident.iter_mut().zip(ELFMAG) {
            *byte = *value;
        }
        for (index, value) in [
            (EI_CLASS, ELFCLASS64),
            (EI_DATA, ELFDATA2LSB),
            (EI_VERSION, goblin::elf::header::EV_CURRENT),
        ] {
            if let Some(byte) = ident.get_mut(index) {
                *byte = value;
            }
        }
        let counted_elsewhere = self.layout.section_header.is_some();
        header64::Header {
            e_ident: ident,
            e_type: ET_CORE,
            e_machine: EM_X86_64,
            e_version: u32::from(EV_CURRENT),
            e_phoff: bytes(EHDR_BYTES),
            e_shoff: self.layout.section_header.unwrap_or(0),
            e_ehsize: short(EHDR_BYTES),
            e_phentsize: short(PHDR_BYTES),
            e_phnum: match u16::try_from(self.layout.program_headers) {
                Ok(count) if !counted_elsewhere => count,
                _ => PN_XNUM,
            },
            e_shentsize: if counted_elsewhere {
                short(SHDR_BYTES)
            } else {
                0
            },
            e_shnum: u16::from(counted_elsewhere),
            ..header64::Header::default()
        }
    }

    fn note_segment(&self) -> program_header64::ProgramHeader {
        program_header64::ProgramHeader {
            p_type: PT_NOTE,
            p_offset: self.layout.notes,
            p_filesz: self.layout.notes_bytes,
            p_memsz: self.layout.notes_bytes,
            p_align: 4,
            ..program_header64::ProgramHeader::default()
        }
    }

    fn counting_section(&self) -> section_header64::SectionHeader {
        section_header64::SectionHeader {
            sh_type: SHT_NULL,
            sh_info: self.layout.program_headers,
            ..section_header64::SectionHeader::default()
        }
    }
}

impl ImageWriter for Writer {
    fn data_offset(&self, index: usize) -> Option<u64> {
        self.layout.data.get(index).copied()
    }

    fn begin(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.begin()?;
        let begin = out.position();
        out.bytes(&self.preamble()?)?;
        if let Some(evidence) = &self.evidence {
            evidence.write(out)?;
        }
        self.position = self.layout.data.first().copied().unwrap_or(0);
        let written = out.position().saturating_sub(begin);
        // As bytes: a hole would tear the headers from the data.
        let padding = usize::try_from(self.position.saturating_sub(written)).unwrap_or(0);
        out.bytes(&vec![0; padding])?;
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.advance(chunk)?;
        let segments = &self.layout.segments;
        let behind = segments.partition_point(|segment| segment.range.start() <= chunk.start);
        let offset = behind.checked_sub(1).and_then(|index| {
            let segment = segments.get(index)?;
            let within = chunk.start.checked_sub(segment.range.start())?;
            segment.offset.checked_add(within.get())
        });
        let offset = offset.unwrap_or(self.position);
        let gap = offset.saturating_sub(self.position);
        if gap > 0 {
            out.zeros(gap)?;
        }
        self.position = offset.saturating_add(bytes(chunk.data.len()));
        out.chunk(chunk)?;
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.finish()
    }
}

fn load(
    offset: u64,
    vaddr: u64,
    paddr: u64,
    file: u64,
    memory: u64,
) -> program_header64::ProgramHeader {
    program_header64::ProgramHeader {
        p_type: PT_LOAD,
        p_flags: PF_R | PF_W | PF_X,
        p_offset: offset,
        p_vaddr: vaddr,
        p_paddr: paddr,
        p_filesz: file,
        p_memsz: memory,
        // With page-aligned offsets *and* an alignment, crash takes the file for
        // another dialect and does not apply KASLR.
        p_align: 0,
    }
}

/// Appends a structure that is `SIZE` bytes in the file.
fn append<T, const SIZE: usize>(target: &mut Vec<u8>, structure: T) -> Result<(), WriteError>
where
    T: TryIntoCtx<scroll::Endian, [u8]>,
    T::Error: From<scroll::Error> + std::fmt::Display,
{
    let mut encoded = [0; SIZE];
    encoded
        .pwrite_with(structure, 0, LE)
        .map_err(|error| WriteError::Unsupported(format!("encoding an ELF header: {error}")))?;
    target.extend_from_slice(&encoded);
    Ok(())
}

fn append_note(
    target: &mut Vec<u8>,
    name: &[u8],
    kind: u32,
    content: &[u8],
) -> Result<(), WriteError> {
    append_note_head(target, name, kind, bytes(content.len()))?;
    target.extend_from_slice(content);
    target.resize(next_multiple(target.len(), PhysLen::new(4))?, 0);
    Ok(())
}

/// A note without its content.
fn append_note_head(
    target: &mut Vec<u8>,
    name: &[u8],
    kind: u32,
    content_bytes: u64,
) -> Result<(), WriteError> {
    let too_long = |_| too_big("a note passes 2^32 bytes");
    // ELF64 notes have the 32-bit header too: the kernel writes no other.
    let header = Nhdr32 {
        n_namesz: u32::try_from(name.len()).map_err(too_long)?,
        n_descsz: u32::try_from(content_bytes).map_err(too_long)?,
        n_type: kind,
    };
    append::<_, 12>(target, header)?;
    target.extend_from_slice(name);
    target.resize(next_multiple(target.len(), PhysLen::new(4))?, 0);
    Ok(())
}

fn next_multiple(len: usize, of: PhysLen) -> Result<usize, WriteError> {
    usize::try_from(of.get())
        .ok()
        .and_then(|of| len.checked_next_multiple_of(of))
        .ok_or_else(|| too_big("its headers pass the address space"))
}

/// The header sizes are 64 and less.
fn short(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
