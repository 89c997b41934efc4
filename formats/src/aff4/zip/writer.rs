// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an archive, front to back.

use super::directory::Entry;
use super::fields::{CENTRAL, ELSEWHERE, END, END64, END64_BYTES, EXTRA64, LOCAL, LOCATOR64};
use crate::{ImageOutput, WriteError};
use linpmem_phys::num::usize_as_u64;

/// Version 4.5, which introduced 64-bit sizes.
const VERSION: u16 = 45;
/// The same, with Unix as the system.
const MADE_BY: u16 = (3 << 8) | VERSION;
/// 1980-01-01, the first day that a DOS date can express: the time is not part of the
/// file's bytes.
const DATE: u16 = (1 << 5) | 1;
/// A regular file that only its owner can read and write.
const MODE: u32 = 0o100_600 << 16;

/// Bytes given to the output at a time.
const PIECE_BYTES: usize = 1 << 20;

/// An archive being written. It keeps nothing but a directory entry per member.
#[derive(Debug, Default)]
pub(in crate::aff4) struct ZipStream {
    members: Vec<Written>,
}

#[derive(Debug)]
struct Written {
    name: Box<str>,
    crc: u32,
    len: u64,
    offset: u64,
}

impl ZipStream {
    /// Writes a member whose content is the concatenation of `parts`. Sizes are in the local
    /// header, so that the member can be found without the directory, and all 64 bits wide;
    /// every reader of AFF4 accepts that.
    pub(in crate::aff4) fn member(
        &mut self,
        name: &str,
        parts: &[&[u8]],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let mut crc = crc32fast::Hasher::new();
        parts.iter().for_each(|part| crc.update(part));
        self.member_of(name, crc.finalize(), parts, out)
    }

    /// As [`member`](Self::member), for content whose checksum `crc` is known.
    pub(in crate::aff4) fn member_of(
        &mut self,
        name: &str,
        crc: u32,
        parts: &[&[u8]],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let len = parts.iter().map(|part| usize_as_u64(part.len())).sum();
        self.begin_member(name, len, crc, out)?;
        // An output may buffer whatever it is given.
        for piece in parts.iter().flat_map(|part| part.chunks(PIECE_BYTES)) {
            out.bytes(piece)?;
        }
        Ok(())
    }

    /// Writes the local header of a member. The caller then writes its content, `len` bytes
    /// with the checksum `crc`.
    pub(in crate::aff4) fn begin_member(
        &mut self,
        name: &str,
        len: u64,
        crc: u32,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let written = Written {
            name: name.into(),
            crc,
            len,
            offset: out.position(),
        };
        out.bytes(&written.local_header()?)?;
        self.members.push(written);
        Ok(())
    }

    /// Adds a stored member that is in the output already.
    pub(in crate::aff4) fn adopt(&mut self, entry: &Entry) {
        self.members.push(Written {
            name: entry.name.as_str().into(),
            crc: entry.crc,
            len: entry.stored_bytes,
            offset: entry.offset,
        });
    }

    /// Writes the directory, followed by `comment`.
    pub(in crate::aff4) fn finish(
        &mut self,
        comment: &str,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let start = out.position();
        for written in &self.members {
            out.bytes(&written.central_entry()?)?;
        }
        let end = out.position();
        let count = usize_as_u64(self.members.len());
        // 0xFFFF refers to the 64-bit number.
        let [low, high, ..] = count.min(0xffff).to_le_bytes();
        let short_count = [low, high];

        let mut tail = Vec::new();
        tail.extend(END64.to_le_bytes());
        // The size of what follows this field.
        tail.extend((END64_BYTES - 12).to_le_bytes());
        tail.extend(MADE_BY.to_le_bytes());
        tail.extend(VERSION.to_le_bytes());
        // Number of this disk, and of the one with the directory.
        tail.extend([0; 8]);
        tail.extend(count.to_le_bytes());
        tail.extend(count.to_le_bytes());
        tail.extend((end - start).to_le_bytes());
        tail.extend(start.to_le_bytes());

        tail.extend(LOCATOR64.to_le_bytes());
        tail.extend(0_u32.to_le_bytes());
        tail.extend(end.to_le_bytes());
        // Number of disks.
        tail.extend(1_u32.to_le_bytes());

        tail.extend(END.to_le_bytes());
        tail.extend([0; 4]);
        tail.extend(short_count);
        tail.extend(short_count);
        tail.extend(ELSEWHERE.to_le_bytes());
        tail.extend(ELSEWHERE.to_le_bytes());
        tail.extend(short(comment)?.to_le_bytes());
        tail.extend(comment.as_bytes());
        out.bytes(&tail)?;
        Ok(())
    }
}

impl Written {
    fn local_header(&self) -> Result<Vec<u8>, WriteError> {
        let mut header = Vec::with_capacity(64);
        header.extend(LOCAL.to_le_bytes());
        header.extend(VERSION.to_le_bytes());
        self.extend_common(&mut header);
        header.extend(short(&self.name)?.to_le_bytes());
        header.extend(20_u16.to_le_bytes());
        header.extend(self.name.as_bytes());
        header.extend(EXTRA64.to_le_bytes());
        header.extend(16_u16.to_le_bytes());
        header.extend(self.len.to_le_bytes());
        header.extend(self.len.to_le_bytes());
        Ok(header)
    }

    fn central_entry(&self) -> Result<Vec<u8>, WriteError> {
        let mut entry = Vec::with_capacity(128);
        entry.extend(CENTRAL.to_le_bytes());
        entry.extend(MADE_BY.to_le_bytes());
        entry.extend(VERSION.to_le_bytes());
        self.extend_common(&mut entry);
        entry.extend(short(&self.name)?.to_le_bytes());
        entry.extend(28_u16.to_le_bytes());
        // Comment, disk and internal attributes.
        entry.extend([0; 6]);
        entry.extend(MODE.to_le_bytes());
        entry.extend(ELSEWHERE.to_le_bytes());
        entry.extend(self.name.as_bytes());
        entry.extend(EXTRA64.to_le_bytes());
        entry.extend(24_u16.to_le_bytes());
        entry.extend(self.len.to_le_bytes());
        entry.extend(self.len.to_le_bytes());
        entry.extend(self.offset.to_le_bytes());
        Ok(entry)
    }

    /// Flags, method (stored), time, date, checksum and both sizes.
    fn extend_common(&self, target: &mut Vec<u8>) {
        target.extend([0; 6]);
        target.extend(DATE.to_le_bytes());
        target.extend(self.crc.to_le_bytes());
        target.extend(ELSEWHERE.to_le_bytes());
        target.extend(ELSEWHERE.to_le_bytes());
    }
}

fn short(text: &str) -> Result<u16, WriteError> {
    u16::try_from(text.len()).map_err(|_| {
        WriteError::Unsupported(
            "the name of a member is longer than 65,535 bytes; use a shorter path".to_owned(),
        )
    })
}
