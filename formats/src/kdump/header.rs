// SPDX-License-Identifier: MIT OR Apache-2.0
//! Header and sub-header (`disk_dump_header` and `kdump_sub_header` in makedumpfile's
//! diskdump_mod.h, as a C compiler for x86-64 lays them out). All numbers are
//! little-endian; docs/formats/kdump.md has the table.

use super::block::Block;
use super::layout::Layout;
use super::notes::{machine_of, noted};
use super::page::INCOMPLETE;
use super::{Error, MAX_PAGES};
use crate::core_note::architecture;
use crate::fields::{u32_at, u64_at};
use crate::{CoreNote, MachineFacts, ReadAt, WriteError};
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::notes;
use linpmem_kinfo::vmcoreinfo::{self, Vmcoreinfo};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// Size of the sub-header.
pub(super) const SUB_HEADER_BYTES: u64 = usize_as_u64(SUB_HEADER);
const SUB_HEADER: usize = 104;

/// Offset of the size of a block.
const BLOCK_SIZE: usize = 428;

/// The bytes of the header that have fields. It is in a block of its own, whose size is one
/// of them.
const HEADER_BYTES: usize = 464;

const SIGNATURE: &[u8] = b"KDUMP   ";
/// The version with page numbers of 64 bits.
const VERSION: u32 = 6;
/// Size of each of the six fields of `struct new_utsname`.
const NAME_BYTES: usize = 65;
/// Offset of `struct new_utsname`.
const UTSNAME: usize = 12;
/// Indexes of fields in `struct new_utsname`.
const SYSNAME: usize = 0;
const RELEASE: usize = 2;
const VERSION_NAME: usize = 3;
const MACHINE: usize = 4;
/// libkdumpfile rejects a header with an empty release or version, and then does not
/// know the architecture either.
const UNKNOWN: &str = "unknown";

/// The headers of a dump, checked against the file.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) block: Block,
    pub(super) max_pages: u64,
    /// The same as the header gives it, even if the bitmaps were cut off.
    pub(super) planned_pages: u64,
    /// Where the bitmap of existing pages begins, in bytes.
    pub(super) present: u64,
    /// Where the bitmap of dumped pages begins, in bytes.
    pub(super) dumped: u64,
    /// Where the page descriptors begin, in bytes.
    pub(super) descriptors: u64,
    pub(super) architecture: Option<Architecture>,
    pub(super) vmcoreinfo: Option<Vec<u8>>,
    /// All notes but VMCOREINFO.
    pub(super) notes: Vec<CoreNote>,
    pub(super) warnings: Vec<String>,
}

/// Header and sub-header of a dump, including VMCOREINFO. `status` is the flag of the
/// compression.
pub(super) fn encode(
    layout: &Layout,
    machine: &MachineFacts,
    status: u32,
) -> Result<Vec<u8>, WriteError> {
    encoded(layout, machine, status).ok_or(WriteError::Misuse(
        "the headers of a kdump image are larger than planned",
    ))
}

fn encoded(layout: &Layout, machine: &MachineFacts, status: u32) -> Option<Vec<u8>> {
    let blocks = 1 + u64::from(layout.sub_header_blocks);
    let sub_header = layout.block.bytes();
    let mut bytes = vec![0; u64_as_usize(blocks).checked_mul(sub_header)?];
    let mut put = |offset: usize, field: &[u8]| {
        let end = offset.checked_add(field.len())?;
        bytes.get_mut(offset..end)?.copy_from_slice(field);
        Some(())
    };
    let kernel = machine.kernel();
    let release = kernel.and_then(Vmcoreinfo::release).unwrap_or(UNKNOWN);
    // The last byte of a name is its terminating zero.
    let release = release.as_bytes().chunks(NAME_BYTES - 1).next();
    // makedumpfile has arm64's PHYS_OFFSET in this field. 0: unknown.
    let phys_base = kernel
        .and_then(|kernel| kernel.phys_base().or_else(|| kernel.number("PHYS_OFFSET")))
        .unwrap_or(0);
    let text = machine.vmcoreinfo.as_deref().unwrap_or_default();
    // These fields have 32 bits only and hold their largest value for anything above;
    // since version 6 the sub-header has the real number.
    let short = |pages: u64| match u32::try_from(pages) {
        Ok(pages) => pages.to_le_bytes(),
        Err(_) => u32::MAX.to_le_bytes(),
    };
    let word = |value: u32| value.to_le_bytes();

    put(0, SIGNATURE)?;
    put(8, &word(VERSION))?;
    put(UTSNAME + SYSNAME * NAME_BYTES, b"Linux")?;
    put(UTSNAME + RELEASE * NAME_BYTES, release.unwrap_or_default())?;
    put(UTSNAME + VERSION_NAME * NAME_BYTES, UNKNOWN.as_bytes())?;
    let name = machine.named_architecture().name();
    put(UTSNAME + MACHINE * NAME_BYTES, name.as_bytes())?;
    put(424, &word(status))?;
    put(BLOCK_SIZE, &word(layout.block.size()))?;
    put(432, &word(layout.sub_header_blocks))?;
    put(436, &word(layout.bitmap_blocks.checked_mul(2)?))?;
    put(440, &short(layout.max_pages))?;
    put(444, &short(layout.pages))?;
    // The number of processors may be unknown, but readers divide and allocate by it, so
    // it must not be 0.
    let processors = machine.notes.iter().filter(|note| note.is_registers());
    put(460, &word(u32::try_from(processors.count()).ok()?.max(1)))?;

    put(sub_header, &phys_base.to_le_bytes())?;
    let mut note = Vec::new();
    if !text.is_empty() {
        notes::append(
            &mut note,
            vmcoreinfo::NOTE_NAME,
            vmcoreinfo::NOTE_KIND,
            text,
        )
        .ok()?;
        put(sub_header + 32, &layout.vmcoreinfo_offset().to_le_bytes())?;
        put(sub_header + 40, &usize_as_u64(text.len()).to_le_bytes())?;
    }
    for other in &machine.notes {
        other.append_to(&mut note).ok()?;
    }
    if !note.is_empty() {
        // libkdumpfile takes the text from the note, crash from the place above.
        put(sub_header + 48, &layout.note_offset().to_le_bytes())?;
        put(sub_header + 56, &usize_as_u64(note.len()).to_le_bytes())?;
        put(u64_as_usize(layout.note_offset()), &note)?;
    }
    put(sub_header + 96, &layout.max_pages.to_le_bytes())?;
    Some(bytes)
}

/// The fields that are read.
struct Fields<'a> {
    version: u32,
    /// Without the terminating zero.
    machine: &'a [u8],
    status: u32,
    sub_header_blocks: u32,
    /// The size of both bitmaps together.
    bitmap_blocks: u32,
    max_pages: u32,
    /// Whether this is a part of a dump that was split into several files.
    is_split: bool,
    vmcoreinfo_offset: u64,
    vmcoreinfo_bytes: u64,
    notes_offset: u64,
    notes_bytes: u64,
    wide_max_pages: u64,
}

impl<'a> Fields<'a> {
    fn parse(header: &'a [u8], sub_header: &[u8]) -> Option<Self> {
        let at = UTSNAME + MACHINE * NAME_BYTES;
        let machine = header.get(at..at + NAME_BYTES)?;
        Some(Self {
            version: u32_at(header, 8)?,
            machine: machine.split(|&byte| byte == 0).next()?,
            status: u32_at(header, 424)?,
            sub_header_blocks: u32_at(header, 432)?,
            bitmap_blocks: u32_at(header, 436)?,
            max_pages: u32_at(header, 440)?,
            is_split: u32_at(sub_header, 12)? != 0,
            vmcoreinfo_offset: u64_at(sub_header, 32)?,
            vmcoreinfo_bytes: u64_at(sub_header, 40)?,
            notes_offset: u64_at(sub_header, 48)?,
            notes_bytes: u64_at(sub_header, 56)?,
            wide_max_pages: u64_at(sub_header, 96)?,
        })
    }
}

impl Headers {
    pub(super) fn read(source: &impl ReadAt) -> Result<Self, Error> {
        let (mut header, mut sub_header) = ([0; HEADER_BYTES], [0; SUB_HEADER]);
        let read = |offset: u64, bytes: &mut [u8]| {
            within(source, "headers", offset, usize_as_u64(bytes.len()))?;
            let read = source.read_exact_at(offset, bytes);
            read.map_err(|source| Error::Io { offset, source })
        };
        read(0, &mut header)?;
        if !header.starts_with(SIGNATURE) {
            return Err(Error::NotThisKind("it is in the older diskdump format"));
        }
        let block = u32_at(&header, BLOCK_SIZE).and_then(|size| Block::of(u64::from(size)));
        let block = block.ok_or(Error::NotThisKind(
            "its blocks do not have 4, 16 or 64 KiB each",
        ))?;
        read(block.len(), &mut sub_header)?;
        let fields = Fields::parse(&header, &sub_header);
        let fields = fields.ok_or(Error::Header("its headers are cut off"))?;
        let mut warnings = Vec::new();
        if fields.status & INCOMPLETE != 0 {
            warnings.push("the dump is marked as incomplete".to_owned());
        }
        if fields.version == 0 || fields.sub_header_blocks == 0 {
            return Err(Error::Header("it has no version or no sub-header"));
        }
        if fields.version >= 2 && fields.is_split {
            return Err(Error::Split);
        }
        let max_pages = match fields.version {
            6.. if fields.wide_max_pages > 0 => fields.wide_max_pages,
            _ => u64::from(fields.max_pages),
        };
        // Numbers of blocks have 32 bits: no product overflows.
        let bitmap = u64::from(fields.bitmap_blocks) * block.len() / 2;
        if max_pages > MAX_PAGES || fields.bitmap_blocks % 2 != 0 || bitmap * 8 < max_pages {
            return Err(Error::Header(
                "its bitmaps do not match its number of pages",
            ));
        }
        let present = (1 + u64::from(fields.sub_header_blocks)) * block.len();
        let dumped = present + bitmap;
        let (noted, notes) = match fields.version {
            4.. => noted(
                source,
                fields.notes_offset,
                fields.notes_bytes,
                &mut warnings,
            ),
            _ => (None, Vec::new()),
        };
        let vmcoreinfo = match fields.version {
            3.. => text(
                source,
                fields.vmcoreinfo_offset,
                fields.vmcoreinfo_bytes,
                &mut warnings,
            ),
            _ => None,
        };
        let vmcoreinfo = vmcoreinfo.or(noted);
        let architecture = machine_of(
            fields.machine,
            architecture(&notes, vmcoreinfo.as_deref()),
            &mut warnings,
        )?;
        Ok(Self {
            block,
            max_pages,
            planned_pages: max_pages,
            present,
            dumped,
            descriptors: dumped + bitmap,
            architecture,
            vmcoreinfo,
            notes,
            warnings,
        })
    }
}

/// The VMCOREINFO text. Without it, the memory can still be read.
fn text(
    source: &impl ReadAt,
    offset: u64,
    len: u64,
    warnings: &mut Vec<String>,
) -> Option<Vec<u8>> {
    if len == 0 {
        return None;
    }
    if len > vmcoreinfo::MAX_BYTES {
        warnings.push(format!(
            "its VMCOREINFO of {len} bytes was ignored (limit {})",
            vmcoreinfo::MAX_BYTES
        ));
        return None;
    }
    let mut text = vec![0; u64_as_usize(len)];
    if source.read_exact_at(offset, &mut text).is_err() {
        warnings.push("its VMCOREINFO cannot be read or is beyond the end of the file".to_owned());
        return None;
    }
    Some(text)
}

/// Checks that `len` bytes from `offset` on are in the file.
pub(super) fn within(
    source: &impl ReadAt,
    what: &'static str,
    offset: u64,
    len: u64,
) -> Result<(), Error> {
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
