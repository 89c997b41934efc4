// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an ELF core, front to back.

use super::artifacts::{self, Content, TAIL_BYTES, Tail};
use super::layout::{EHDR_BYTES, Layout, PHDR_BYTES, PN_XNUM, SHDR_BYTES, note_too_long};
use super::range_note;
use crate::write_order::WriteOrder;
use crate::{Chunk, ImageOutput, ImagePlan, ImageWriter, ReadAt, WriteError};
use goblin::elf::header::{ELFCLASS64, ELFDATA2LSB, ET_CORE, EV_CURRENT, SIZEOF_IDENT, header64};
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, program_header64};
use goblin::elf::section_header::{SHT_NULL, section_header64};
use linpmem_kinfo::{notes, vmcoreinfo};
use linpmem_phys::num::{u16_as_usize, u64_as_usize, usize_as_u64};
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysLen};
use scroll::{LE, Pwrite, ctx::TryIntoCtx};
use std::sync::Arc;

/// The first bytes of the file: magic number, class, byte order, version.
const IDENT: [u8; SIZEOF_IDENT] = [
    0x7f,
    b'E',
    b'L',
    b'F',
    ELFCLASS64,
    ELFDATA2LSB,
    EV_CURRENT,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
];

/// Sizes of the headers, as the file header gives them.
const EHDR_SIZE: u16 = 64;
const PHDR_SIZE: u16 = 56;
const SHDR_SIZE: u16 = 64;

const _: () = assert!(u16_as_usize(EHDR_SIZE) == EHDR_BYTES);
const _: () = assert!(u16_as_usize(PHDR_SIZE) == PHDR_BYTES);
const _: () = assert!(u16_as_usize(SHDR_SIZE) == SHDR_BYTES);

/// The headers and notes turned out longer than planned, or a chunk came twice.
const OVERTAKEN: WriteError = WriteError::Misuse("the ELF core went past its own layout");

/// Writes an ELF64 core file that crash, drgn, gdb, makedumpfile, libkdumpfile,
/// LeechCore and Volatility 3 all open.
///
/// The plan determines everything but the data, so that all headers come first and
/// nothing is rewritten. Pages that could not be read are zero: they are known only
/// afterwards, and the format cannot mark them then.
#[derive(Debug)]
pub struct Writer {
    plan: ImagePlan,
    layout: Layout,
    order: WriteOrder,
    artifacts: Option<Content>,
    tail: Option<Tail>,
    /// Where the last chunk ended in the file.
    position: u64,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If the file would exceed 2^64 bytes, or the plan has more ranges than a core
    /// can count (2^32).
    pub fn new(plan: &ImagePlan) -> Result<Self, WriteError> {
        Self::merging(plan, PhysLen::ZERO)
    }

    /// A writer that joins ranges with less than `gap` between them into one segment,
    /// since some tools read no more than 144 segments. The gaps are zero in the file;
    /// linpmem's own note lists the true ranges.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn merging(plan: &ImagePlan, gap: PhysLen) -> Result<Self, WriteError> {
        Ok(Self {
            layout: Layout::new(plan, gap, None)?,
            order: WriteOrder::new(plan),
            plan: plan.clone(),
            artifacts: None,
            tail: None,
            position: 0,
        })
    }

    /// As [`merging`](Self::merging), and stores `archive`, a tar archive compressed
    /// with zstd, in a note.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the archive is larger than
    /// [`MAX_ARTIFACTS_BYTES`](super::MAX_ARTIFACTS_BYTES).
    pub fn with_artifacts(
        plan: &ImagePlan,
        gap: PhysLen,
        archive: Arc<dyn ReadAt>,
    ) -> Result<Self, WriteError> {
        let artifacts = Content::new(archive)?;
        Ok(Self {
            layout: Layout::new(plan, gap, Some(artifacts.len()))?,
            artifacts: Some(artifacts),
            ..Self::merging(plan, gap)?
        })
    }

    /// As [`merging`](Self::merging), and writes what `tail` has by then behind the memory,
    /// without a limit.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_tail(plan: &ImagePlan, gap: PhysLen, tail: Tail) -> Result<Self, WriteError> {
        Ok(Self {
            layout: Layout::new(plan, gap, Some(TAIL_BYTES))?,
            tail: Some(tail),
            ..Self::merging(plan, gap)?
        })
    }

    /// How many segments of memory the core will have, not counting the kernel's text.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.layout.segments.len()
    }

    /// Everything before the data, except for the content of the artifacts and the
    /// padding up to a page boundary.
    fn preamble(&self) -> Result<Vec<u8>, WriteError> {
        let mut preamble = Vec::new();
        append::<_, EHDR_BYTES>(&mut preamble, self.file_header())?;
        append::<_, PHDR_BYTES>(&mut preamble, self.note_segment())?;
        for segment in &self.layout.segments {
            let start = segment.range.start().get();
            // An address too high for the direct map has no virtual address.
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
            // Only gdb needs it. Tools that take segments for memory skip it because it
            // is longer in memory than in the file. Its end is below 2^64.
            let memory = text.bytes + PAGE_SIZE.get();
            append::<_, PHDR_BYTES>(
                &mut preamble,
                load(text.offset, text.vaddr, u64::MAX, text.bytes, memory),
            )?;
        }
        if self.layout.section_header.is_some() {
            append::<_, SHDR_BYTES>(&mut preamble, self.counting_section())?;
        }
        if let Some(text) = &self.plan.machine().vmcoreinfo {
            notes::append(
                &mut preamble,
                vmcoreinfo::NOTE_NAME,
                vmcoreinfo::NOTE_KIND,
                text,
            )
            .map_err(note_too_long)?;
        }
        for note in &self.plan.machine().notes {
            note.append_to(&mut preamble).map_err(note_too_long)?;
        }
        let content = range_note::content(&self.plan, self.is_merged())?;
        notes::append(&mut preamble, range_note::NAME, range_note::TYPE, &content)
            .map_err(note_too_long)?;
        if let Some(artifacts) = &self.artifacts {
            let (name, kind) = (range_note::NAME, artifacts::TYPE);
            notes::append_head(&mut preamble, name, kind, artifacts.len())
                .map_err(note_too_long)?;
        }
        if self.tail.is_some() {
            let (name, kind) = (range_note::NAME, artifacts::TAIL_TYPE);
            let offset = self.layout.end.to_le_bytes();
            notes::append(&mut preamble, name, kind, &offset).map_err(note_too_long)?;
        }
        Ok(preamble)
    }

    fn is_merged(&self) -> bool {
        self.layout.segments.len() < self.plan.ranges().len()
    }

    /// Where the data of the memory at `addr` goes, which is in a segment.
    fn offset_of(&self, addr: PhysAddr) -> Option<u64> {
        let segments = &self.layout.segments;
        let after = segments.partition_point(|segment| segment.range.start() <= addr);
        let segment = segments.get(after.checked_sub(1)?)?;
        let within = addr.checked_sub(segment.range.start())?;
        segment.offset.checked_add(within.get())
    }

    fn file_header(&self) -> header64::Header {
        let counted_elsewhere = self.layout.section_header.is_some();
        header64::Header {
            e_ident: IDENT,
            e_type: ET_CORE,
            e_machine: self.plan.machine().named_architecture().elf_machine(),
            e_version: u32::from(EV_CURRENT),
            e_phoff: usize_as_u64(EHDR_BYTES),
            e_shoff: self.layout.section_header.unwrap_or(0),
            e_ehsize: EHDR_SIZE,
            e_phentsize: PHDR_SIZE,
            e_phnum: match u16::try_from(self.layout.program_headers) {
                Ok(count) if !counted_elsewhere => count,
                _ => PN_XNUM,
            },
            e_shentsize: if counted_elsewhere { SHDR_SIZE } else { 0 },
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
        self.order.begin()?;
        let begin = out.position();
        out.bytes(&self.preamble()?)?;
        if let Some(artifacts) = &self.artifacts {
            artifacts.write_padded(out)?;
        }
        let padding = out
            .position()
            .checked_sub(begin)
            .zip(self.layout.data.first())
            .and_then(|(written, &data)| data.checked_sub(written))
            .ok_or(OVERTAKEN)?;
        // Written as bytes, since a hole would separate the headers from the data.
        out.bytes(&vec![0; u64_as_usize(padding)])?;
        self.position = out.position() - begin;
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.advance(chunk)?;
        let offset = self
            .offset_of(chunk.start)
            .ok_or(WriteError::Misuse("a chunk is in no segment"))?;
        let gap = offset.checked_sub(self.position).ok_or(OVERTAKEN)?;
        if gap > 0 {
            out.zeros(gap)?;
        }
        // The chunk ends within its segment, and so within 2^64 bytes.
        self.position = offset + usize_as_u64(chunk.data.len());
        out.chunk(chunk)?;
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.finish()?;
        let Some(content) = self.tail.as_ref().and_then(Tail::content) else {
            return Ok(());
        };
        if self.position != self.layout.end {
            return Err(OVERTAKEN);
        }
        content.write(out)
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
        // another kind of core and does not apply KASLR.
        p_align: 0,
    }
}

/// Appends a structure that takes `SIZE` bytes in the file.
fn append<T, const SIZE: usize>(target: &mut Vec<u8>, structure: T) -> Result<(), WriteError>
where
    T: TryIntoCtx<scroll::Endian, [u8]>,
    T::Error: From<scroll::Error> + std::fmt::Display,
{
    let mut encoded = [0; SIZE];
    encoded.pwrite_with(structure, 0, LE).map_err(|error| {
        WriteError::Unsupported(format!("cannot encode an ELF header: {error}"))
    })?;
    target.extend_from_slice(&encoded);
    Ok(())
}
