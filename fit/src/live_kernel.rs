// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running kernel's own memory, as /proc/kcore shows it.

use crate::sources::Sources;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD, PT_NOTE, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use std::fs::File;
use std::os::unix::fs::FileExt;

type Header = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// The most bytes of headers, and of notes, that are read.
const MAX_HEADERS: u64 = 1 << 20;
const MAX_NOTES: u64 = 1 << 20;

/// What may be read of it.
pub(crate) struct LiveKernel {
    file: File,
    segments: Vec<ProgramHeader64<LittleEndian>>,
    /// The file's name.
    pub(crate) origin: String,
}

impl LiveKernel {
    /// Nothing if there is no such file, or this program may not read memory: no fact rests on
    /// it alone.
    pub(crate) fn open(sources: &Sources) -> Option<Self> {
        let (path, file) = sources.kcore.open().ok()??;
        let mut bytes = vec![0; size_of::<Header>()];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let header = Header::parse(bytes.as_slice()).ok()?;
        let headers = u64::from(header.e_phnum(LE))
            * usize_as_u64(size_of::<ProgramHeader64<LittleEndian>>());
        let end = header.e_phoff(LE).checked_add(headers)?;
        if end > MAX_HEADERS {
            return None;
        }
        bytes.resize(u64_as_usize(end), 0);
        file.read_exact_at(&mut bytes, 0).ok()?;
        let header = Header::parse(bytes.as_slice()).ok()?;
        let segments = header.program_headers(LE, bytes.as_slice()).ok()?.to_vec();
        Some(Self {
            file,
            segments,
            origin: path.display().to_string(),
        })
    }

    /// Its notes.
    pub(crate) fn notes(&self) -> Option<Vec<u8>> {
        let mut all = self.segments.iter();
        let segment = all.find(|segment| segment.p_type(LE) == PT_NOTE)?;
        let len = segment.p_filesz(LE);
        if len > MAX_NOTES {
            return None;
        }
        let mut notes = vec![0; u64_as_usize(len)];
        let read = self.file.read_exact_at(&mut notes, segment.p_offset(LE));
        read.ok().map(|()| notes)
    }

    /// The memory at the virtual `address`.
    pub(crate) fn read<const LEN: usize>(&self, address: u64) -> Option<[u8; LEN]> {
        let place = self.segments.iter().find_map(|segment| {
            if segment.p_type(LE) != PT_LOAD {
                return None;
            }
            let within = address.checked_sub(segment.p_vaddr(LE))?;
            let left = segment.p_filesz(LE).checked_sub(within)?;
            if left < usize_as_u64(LEN) {
                return None;
            }
            segment.p_offset(LE).checked_add(within)
        })?;
        let mut bytes = [0; LEN];
        let read = self.file.read_exact_at(&mut bytes, place);
        read.ok().map(|()| bytes)
    }

    /// The checksum of the export `name`, whose entry in the kernel's table of exports and
    /// whose checksum are at these addresses. Nothing if the entry is another's.
    pub(crate) fn checksum(&self, name: &str, place: LivePlace) -> Option<u32> {
        // The second word of the entry says where the name is, counted from the word.
        let word = place.entry.checked_add(4)?;
        let distance = i32::from_le_bytes(self.read(word)?);
        let mut at = word.checked_add_signed(i64::from(distance))?;
        for byte in name.bytes().chain([0]) {
            if self.read(at)? != [byte] {
                return None;
            }
            at = at.checked_add(1)?;
        }
        self.read(place.checksum).map(u32::from_le_bytes)
    }
}

/// Where an export is in the kernel's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LivePlace {
    /// Its entry in the table of exports.
    pub(crate) entry: u64,
    /// Its checksum.
    pub(crate) checksum: u64,
}
