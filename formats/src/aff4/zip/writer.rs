// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an archive, front to back.

use super::directory::Entry;
use super::fields::{
    CENTRAL, DESCRIPTOR, ELSEWHERE, END, END64, END64_BYTES, EXTRA64, LOCAL, LOCATOR64,
    SIZES_FOLLOW,
};
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
    families: Vec<[String; 2]>,
}

/// Members whose names differ in a number. Memory of a terabyte needs tens of thousands of
/// them, so only the number is kept of each.
#[derive(Clone, Copy, Debug)]
pub(in crate::aff4) struct Family(usize);

/// The name of a member.
#[derive(Debug)]
pub(in crate::aff4) enum Name {
    Own(Box<str>),
    Numbered(Family, u64),
}

#[derive(Debug)]
struct Written {
    name: Name,
    crc: u32,
    len: u64,
    offset: u64,
    /// Whether checksum and sizes follow the content, instead of being in the local header.
    is_streamed: bool,
}

/// A member whose content is being written.
#[derive(Debug)]
pub(in crate::aff4) struct OpenMember {
    name: Name,
    offset: u64,
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::Own(name.into())
    }
}

impl ZipStream {
    /// Members with the name `before`, a number of eight digits, and `after`.
    pub(in crate::aff4) fn family(&mut self, before: String, after: String) -> Family {
        self.families.push([before, after]);
        Family(self.families.len() - 1)
    }

    /// Writes a member. Sizes are in the local header, so that the member can be found
    /// without the directory, and all 64 bits wide; every reader of AFF4 accepts that.
    pub(in crate::aff4) fn member(
        &mut self,
        name: impl Into<Name>,
        content: &[u8],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let crc = crc32fast::hash(content);
        self.begin_member(name, usize_as_u64(content.len()), crc, out)?;
        // An output may buffer whatever it is given.
        for piece in content.chunks(PIECE_BYTES) {
            out.bytes(piece)?;
        }
        Ok(())
    }

    /// Writes the local header of a member. The caller then writes its content, `len` bytes
    /// with the checksum `crc`.
    pub(in crate::aff4) fn begin_member(
        &mut self,
        name: impl Into<Name>,
        len: u64,
        crc: u32,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let written = Written {
            name: name.into(),
            crc,
            len,
            offset: out.position(),
            is_streamed: false,
        };
        out.bytes(&written.local_header(&self.text(&written.name))?)?;
        self.members.push(written);
        Ok(())
    }

    /// Writes the local header of a member of unknown size. The caller then writes its
    /// content and calls [`end_streamed`](Self::end_streamed).
    pub(in crate::aff4) fn begin_streamed(
        &mut self,
        name: impl Into<Name>,
        out: &mut dyn ImageOutput,
    ) -> Result<OpenMember, WriteError> {
        let written = Written {
            name: name.into(),
            // Zero until they are known.
            crc: 0,
            len: 0,
            offset: out.position(),
            is_streamed: true,
        };
        out.bytes(&written.local_header(&self.text(&written.name))?)?;
        Ok(OpenMember {
            name: written.name,
            offset: written.offset,
        })
    }

    /// Writes what follows the content of `member`, `len` bytes with the checksum `crc`.
    pub(in crate::aff4) fn end_streamed(
        &mut self,
        member: OpenMember,
        len: u64,
        crc: u32,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let mut descriptor = Vec::with_capacity(24);
        descriptor.extend(DESCRIPTOR.to_le_bytes());
        descriptor.extend(crc.to_le_bytes());
        descriptor.extend(len.to_le_bytes());
        descriptor.extend(len.to_le_bytes());
        out.bytes(&descriptor)?;
        self.members.push(Written {
            name: member.name,
            crc,
            len,
            offset: member.offset,
            is_streamed: true,
        });
        Ok(())
    }

    /// Bytes that are kept of all members.
    #[cfg(test)]
    pub(in crate::aff4) fn kept_bytes(&self) -> usize {
        let own = self.members.iter().map(|written| match &written.name {
            Name::Own(name) => name.len(),
            Name::Numbered(..) => 0,
        });
        own.sum::<usize>() + self.members.capacity() * size_of::<Written>()
    }

    fn text(&self, name: &Name) -> String {
        match name {
            Name::Own(name) => name.to_string(),
            Name::Numbered(Family(family), number) => {
                let family = self.families.get(*family);
                // Families are never removed.
                family.map_or_else(String::new, |[before, after]| {
                    format!("{before}{number:08}{after}")
                })
            }
        }
    }

    /// Adds a stored member that is in the output already.
    pub(in crate::aff4) fn adopt(&mut self, entry: &Entry) {
        self.members.push(Written {
            name: entry.name.as_str().into(),
            crc: entry.crc,
            len: entry.stored_bytes,
            offset: entry.offset,
            is_streamed: entry.is_streamed,
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
            out.bytes(&written.central_entry(&self.text(&written.name))?)?;
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
    fn local_header(&self, name: &str) -> Result<Vec<u8>, WriteError> {
        let mut header = Vec::with_capacity(64);
        header.extend(LOCAL.to_le_bytes());
        header.extend(VERSION.to_le_bytes());
        self.extend_common(&mut header);
        header.extend(short(name)?.to_le_bytes());
        header.extend(20_u16.to_le_bytes());
        header.extend(name.as_bytes());
        header.extend(EXTRA64.to_le_bytes());
        header.extend(16_u16.to_le_bytes());
        header.extend(self.len.to_le_bytes());
        header.extend(self.len.to_le_bytes());
        Ok(header)
    }

    fn central_entry(&self, name: &str) -> Result<Vec<u8>, WriteError> {
        let mut entry = Vec::with_capacity(128);
        entry.extend(CENTRAL.to_le_bytes());
        entry.extend(MADE_BY.to_le_bytes());
        entry.extend(VERSION.to_le_bytes());
        self.extend_common(&mut entry);
        entry.extend(short(name)?.to_le_bytes());
        entry.extend(28_u16.to_le_bytes());
        // Comment, disk and internal attributes.
        entry.extend([0; 6]);
        entry.extend(MODE.to_le_bytes());
        entry.extend(ELSEWHERE.to_le_bytes());
        entry.extend(name.as_bytes());
        entry.extend(EXTRA64.to_le_bytes());
        entry.extend(24_u16.to_le_bytes());
        entry.extend(self.len.to_le_bytes());
        entry.extend(self.len.to_le_bytes());
        entry.extend(self.offset.to_le_bytes());
        Ok(entry)
    }

    /// Flags, method (stored), time, date, checksum and both sizes.
    fn extend_common(&self, target: &mut Vec<u8>) {
        let flags = match self.is_streamed {
            true => SIZES_FOLLOW,
            false => 0,
        };
        target.extend(flags.to_le_bytes());
        // The method, and the time.
        target.extend([0; 4]);
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
