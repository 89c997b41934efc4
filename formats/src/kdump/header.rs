// SPDX-License-Identifier: MIT OR Apache-2.0
//! Header and sub-header (`disk_dump_header` and `kdump_sub_header` of
//! makedumpfile's diskdump_mod.h, as a C compiler for x86-64 lays them out). All
//! numbers little-endian; docs/formats/kdump.md has the table.

use super::layout::{Layout, NOTE_HEADER_BYTES, NOTE_OFFSET, VMCOREINFO_OFFSET};
use super::{BLOCK_BYTES, Error, MAX_PAGES};
use crate::{MachineFacts, ReadAt};
use scroll::{LE, Pread};

pub(super) const SUB_HEADER_BYTES: u64 = 104;

const SIGNATURE: &[u8] = b"KDUMP   ";
/// The version that has page numbers of 64 bits.
const VERSION: u32 = 6;
/// Bytes of each of the six fields of `struct new_utsname`.
const NAME_BYTES: usize = 65;
const UTSNAME: usize = 12;
/// Field numbers in `struct new_utsname`.
const SYSNAME: usize = 0;
const RELEASE: usize = 2;
const VERSION_NAME: usize = 3;
const MACHINE: usize = 4;
/// libkdumpfile believes no header with an empty release or version, and then knows
/// no architecture either.
const UNKNOWN: &str = "unknown";

const MACHINE_NAME: &[u8] = b"x86_64";
const STATUS_LZO: u32 = super::compression::LZO;
/// `DUMP_DH_COMPRESSED_INCOMPLETE`.
const STATUS_INCOMPLETE: u32 = 0x8;
/// VMCOREINFO is one page in the kernel; four should do for a long time.
const MAX_VMCOREINFO_BYTES: u64 = 1 << 20;

/// What the headers of a dump say, checked against the file.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) max_pages: u64,
    /// Where the bitmap of existing pages begins, and that of dumped ones.
    pub(super) present: u64,
    pub(super) dumped: u64,
    pub(super) descriptors: u64,
    pub(super) vmcoreinfo: Option<Vec<u8>>,
    pub(super) warnings: Vec<String>,
}

/// Header and sub-header of a dump, VMCOREINFO included.
pub(super) fn encode(layout: &Layout, machine: &MachineFacts, status: u32) -> Vec<u8> {
    let blocks = u64::from(layout.sub_header_blocks).saturating_add(1);
    let len = usize::try_from(blocks)
        .unwrap_or(0)
        .saturating_mul(BLOCK_BYTES);
    let mut bytes = vec![0; len];
    let mut put = |offset: usize, field: &[u8]| {
        let end = offset.saturating_add(field.len());
        if let Some(target) = bytes.get_mut(offset..end) {
            target.copy_from_slice(field);
        }
    };
    let release = machine.vmcoreinfo_value("OSRELEASE").unwrap_or(UNKNOWN);
    // The last byte of a name ends it.
    let release = release.get(..release.len().min(NAME_BYTES - 1));
    let phys_base: i64 = machine
        .vmcoreinfo_value("NUMBER(phys_base)")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    let text = machine.vmcoreinfo.as_deref().unwrap_or_default();
    let text_bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let short = |pages: u64| u32::try_from(pages).unwrap_or(u32::MAX).to_le_bytes();
    let word = |value: u32| value.to_le_bytes();

    put(0, SIGNATURE);
    put(8, &word(VERSION));
    put(UTSNAME + SYSNAME * NAME_BYTES, b"Linux");
    put(
        UTSNAME + RELEASE * NAME_BYTES,
        release.unwrap_or(UNKNOWN).as_bytes(),
    );
    put(UTSNAME + VERSION_NAME * NAME_BYTES, UNKNOWN.as_bytes());
    put(UTSNAME + MACHINE * NAME_BYTES, MACHINE_NAME);
    put(424, &word(status));
    put(428, &word(4096));
    put(432, &word(layout.sub_header_blocks));
    put(436, &word(layout.bitmap_blocks.saturating_mul(2)));
    put(440, &short(layout.max_pages));
    put(444, &short(layout.pages));
    // Readers divide and allocate by the number of processors: it is not known,
    // but not 0.
    put(460, &word(1));

    put(BLOCK_BYTES, &phys_base.to_le_bytes());
    if !text.is_empty() {
        put(BLOCK_BYTES + 32, &VMCOREINFO_OFFSET.to_le_bytes());
        put(BLOCK_BYTES + 40, &text_bytes.to_le_bytes());
        // libkdumpfile takes the text from the note, crash from the place above.
        let note_bytes = text_bytes
            .next_multiple_of(4)
            .saturating_add(NOTE_HEADER_BYTES);
        put(BLOCK_BYTES + 48, &NOTE_OFFSET.to_le_bytes());
        put(BLOCK_BYTES + 56, &note_bytes.to_le_bytes());
        let note = usize::try_from(NOTE_OFFSET).unwrap_or(0);
        put(note, &word(11));
        put(note + 4, &word(u32::try_from(text_bytes).unwrap_or(0)));
        put(note + 12, b"VMCOREINFO\0");
    }
    put(BLOCK_BYTES + 96, &layout.max_pages.to_le_bytes());
    put(usize::try_from(VMCOREINFO_OFFSET).unwrap_or(0), text);
    bytes
}

impl Headers {
    pub(super) fn read(source: &impl ReadAt) -> Result<Self, Error> {
        let mut both = [0; 2 * BLOCK_BYTES];
        within(source, "headers", 0, 2 * 4096)?;
        source
            .read_exact_at(0, &mut both)
            .map_err(|source| Error::Io { offset: 0, source })?;
        let word = |offset: usize| both.pread_with::<u32>(offset, LE).unwrap_or(0);
        let long = |offset: usize| both.pread_with::<u64>(offset, LE).unwrap_or(0);
        let sub = |offset: usize| long(BLOCK_BYTES.saturating_add(offset));
        if !both.starts_with(SIGNATURE) {
            return Err(Error::NotThisKind("in the older diskdump format"));
        }
        let mut warnings = Vec::new();
        let at = UTSNAME + MACHINE * NAME_BYTES;
        let machine = both.get(at..at + NAME_BYTES).unwrap_or_default();
        let machine = machine.split(|&byte| byte == 0).next().unwrap_or_default();
        if machine.is_empty() {
            warnings.push("the dump does not say which machine it is of".to_owned());
        } else if machine != MACHINE_NAME {
            return Err(Error::NotThisKind("of another kind of machine"));
        }
        let version = word(8);
        let status = word(424);
        if status & STATUS_LZO != 0 {
            return Err(Error::Lzo);
        }
        if status & STATUS_INCOMPLETE != 0 {
            warnings.push("the dump says of itself that it is incomplete".to_owned());
        }
        if word(428) != 4096 {
            return Err(Error::NotThisKind("in blocks of other than 4096 bytes"));
        }
        let sub_header_blocks = u64::from(word(432));
        if version == 0 || sub_header_blocks == 0 {
            return Err(Error::Header("it has no version or no sub-header"));
        }
        if version >= 2 && sub(8) >> 32 != 0 {
            return Err(Error::NotThisKind("one part of a dump that was split"));
        }
        let max_pages = match version {
            6.. => sub(96),
            _ => u64::from(word(440)),
        };
        let bitmap_blocks = u64::from(word(436));
        let one = bitmap_blocks.saturating_mul(4096) / 2;
        if max_pages > MAX_PAGES || bitmap_blocks % 2 != 0 || one.saturating_mul(8) < max_pages {
            return Err(Error::Header(
                "its bitmaps do not fit the pages that it counts",
            ));
        }
        let present = sub_header_blocks.saturating_add(1).saturating_mul(4096);
        within(source, "bitmaps", present, one.saturating_mul(2))?;
        let dumped = present.saturating_add(one);
        let vmcoreinfo = match version {
            3.. => text(source, sub(32), sub(40), &mut warnings),
            _ => None,
        };
        Ok(Self {
            max_pages,
            present,
            dumped,
            descriptors: dumped.saturating_add(one),
            vmcoreinfo,
            warnings,
        })
    }
}

/// The VMCOREINFO text. A dump without it still has its memory.
fn text(
    source: &impl ReadAt,
    offset: u64,
    len: u64,
    warnings: &mut Vec<String>,
) -> Option<Vec<u8>> {
    if len == 0 {
        return None;
    }
    if len > MAX_VMCOREINFO_BYTES {
        warnings.push(format!("its VMCOREINFO of {len} bytes is not believed"));
        return None;
    }
    let mut text = vec![0; usize::try_from(len).ok()?];
    if source.read_exact_at(offset, &mut text).is_err() {
        warnings.push("its VMCOREINFO lies where the file has no bytes".to_owned());
        return None;
    }
    Some(text)
}

/// Whether so many bytes lie in the file.
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
