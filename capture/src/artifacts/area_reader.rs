// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a swap area past the page cache: its pages there can be older than what the kernel has
//! written since, and room for them is taken from memory.

use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Errno, PageBuffer};
use rustix::fs::{Advice, OFlags, fadvise};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Bytes that are read at a time.
const PIECE_BYTES: u64 = 1 << 20;
/// After so many gaps the rest is not read: the disk is lost.
const MAX_GAPS: usize = 4096;
/// What the last ten bytes of an area's first page are.
const SIGNATURE: &[u8; 10] = b"SWAPSPACE2";
/// Where that page has the number of the area's last page.
const LAST_PAGE_AT: usize = 1024 + 4;
/// Bytes of the number with which the content begins.
const LENGTH_BYTES: u64 = 8;
/// Bytes of a gap behind the content.
const GAP_BYTES: usize = 20;

/// Pages of an area that could not be read, and are zero among its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The offset of the first of them.
    pub start: u64,
    /// Their bytes.
    pub length: u64,
    /// The system's reason.
    pub errno: i32,
}

/// What an area should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Expected {
    pub(super) is_file: bool,
    /// The bytes that can be used. There is at least a page more, with the header.
    pub(super) usable_bytes: u64,
    pub(super) page_bytes: u64,
}

/// An area as a stream: its length, its bytes, and the gaps among them.
pub(super) struct AreaReader {
    file: File,
    is_direct: bool,
    page: u64,
    len: u64,
    at: u64,
    piece: PageBuffer,
    /// What was not taken of `piece`, or of the length or the gaps.
    taken: usize,
    gaps: Vec<Gap>,
    /// What is given out; the piece if it is empty.
    numbers: Vec<u8>,
    is_done: bool,
}

impl AreaReader {
    /// Opens the area at `path`, if it is one.
    pub(super) fn open(path: &Path, expected: Expected) -> io::Result<Self> {
        let page = expected.page_bytes;
        if !page.is_power_of_two() || !(4096..=PIECE_BYTES).contains(&page) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (file, is_direct) = open(path)?;
        let metadata = file.metadata()?;
        let is_right = match expected.is_file {
            true => metadata.is_file(),
            false => metadata.file_type().is_block_device(),
        };
        if !is_right {
            return Err(io::Error::other(
                "what has this name here is not what the kernel swaps to: it may be that of another \
                 mount namespace",
            ));
        }
        let mut opened = Self {
            is_direct,
            page,
            len: (&file).seek(SeekFrom::End(0))?,
            file,
            at: 0,
            piece: PageBuffer::new(u64_as_usize(PIECE_BYTES)),
            taken: 0,
            gaps: Vec::new(),
            numbers: Vec::new(),
            is_done: false,
        };
        opened.drop_cached();
        opened.len = opened.area_bytes(expected.usable_bytes)?;
        opened.numbers.extend(opened.len.to_le_bytes());
        opened.piece.set_len(0);
        Ok(opened)
    }

    /// The length of the area, by its header.
    fn area_bytes(&mut self, usable: u64) -> io::Result<u64> {
        self.piece.set_len(u64_as_usize(self.page));
        let other = |what: &str| {
            io::Error::other(format!(
                "{what}: it is not what the kernel swaps to, but may have the same name in another \
                 mount namespace"
            ))
        };
        self.fill(0)?;
        if !self.piece.ends_with(SIGNATURE) {
            return Err(other("it does not begin with the header of a swap area"));
        }
        let last = self.piece.get(LAST_PAGE_AT..LAST_PAGE_AT + 4);
        let last = last.and_then(|bytes| bytes.try_into().ok());
        let last = u64::from(last.map_or(0, u32::from_le_bytes));
        // 2^32 pages of 2^20 bytes at most.
        let (header, len) = (self.page, (last + 1) * self.page);
        if len < usable.saturating_add(header) {
            return Err(other("its header tells of a smaller area"));
        }
        if len > self.len {
            // The kernel uses no more than there is.
            return Ok(self.len - self.len % self.page);
        }
        Ok(len)
    }

    /// Drops from the page cache what is there of the file.
    fn drop_cached(&self) {
        if !self.is_direct {
            // It is only advice.
            let _ = fadvise(&self.file, 0, NonZeroU64::new(self.len), Advice::DontNeed);
        }
    }

    /// Fills the piece with the bytes from `at` on.
    fn fill(&mut self, at: u64) -> io::Result<()> {
        let read = self.file.read_exact_at(&mut self.piece, at);
        match read {
            // Some file systems take it at opening, and not at reading.
            Err(error) if self.is_direct && error.raw_os_error() == Some(Errno::EINVAL.get()) => {
                let flags = rustix::fs::fcntl_getfl(&self.file)?;
                rustix::fs::fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
                self.is_direct = false;
                self.drop_cached();
                self.file.read_exact_at(&mut self.piece, at)
            }
            read => read,
        }
    }

    /// Reads the next piece; what cannot be read of it is zero.
    fn advance(&mut self) {
        let start = self.at;
        let len = PIECE_BYTES.min(self.len - start);
        self.piece.set_len(u64_as_usize(len));
        self.taken = 0;
        self.at += len;
        if self.gaps.len() >= MAX_GAPS {
            self.piece.fill(0);
            self.gap(start, len, Errno::EIO.get());
            return;
        }
        if self.fill(start).is_ok() {
            self.drop_cached();
            return;
        }
        self.piece.fill(0);
        let mut page = PageBuffer::new(u64_as_usize(self.page));
        for within in (0..len).step_by(u64_as_usize(self.page)) {
            match self.file.read_exact_at(&mut page, start + within) {
                Ok(()) => {
                    let from = u64_as_usize(within);
                    if let Some(target) = self.piece.get_mut(from..from + page.len()) {
                        target.copy_from_slice(&page);
                    }
                }
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(Errno::EIO.get());
                    self.gap(start + within, self.page, errno);
                }
            }
        }
        self.drop_cached();
    }

    fn gap(&mut self, start: u64, length: u64, errno: i32) {
        match self.gaps.last_mut() {
            Some(last) if last.start + last.length == start && last.errno == errno => {
                last.length += length;
            }
            _ => self.gaps.push(Gap {
                start,
                length,
                errno,
            }),
        }
    }

    fn end(&mut self) {
        self.piece.set_len(0);
        self.taken = 0;
        self.is_done = true;
        for gap in &self.gaps {
            self.numbers.extend(gap.start.to_le_bytes());
            self.numbers.extend(gap.length.to_le_bytes());
            self.numbers.extend(gap.errno.to_le_bytes());
        }
    }
}

impl Read for AreaReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let all: &[u8] = match self.numbers.is_empty() {
                true => &self.piece,
                false => &self.numbers,
            };
            let mut rest = all.get(self.taken..).unwrap_or(&[]);
            let len = rest.read(buf)?;
            self.taken += len;
            if len > 0 || buf.is_empty() {
                return Ok(len);
            }
            self.numbers.clear();
            match (self.at < self.len, self.is_done) {
                (true, _) => self.advance(),
                (false, false) => self.end(),
                (false, true) => return Ok(0),
            }
        }
    }
}

/// The file, and whether reading it passes the page cache. Nobody waits for a device that has to
/// be unlocked or inserted.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let with = |more: OFlags| {
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | more;
        OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
            .open(path)
    };
    match with(OFlags::DIRECT) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL.get()) => {
            Ok((with(OFlags::empty())?, false))
        }
        Err(error) => Err(error),
    }
}

/// The length of the area in `stream`.
pub(super) fn length(stream: &mut dyn Read) -> io::Result<u64> {
    let mut length = [0; u64_as_usize(LENGTH_BYTES)];
    stream.read_exact(&mut length)?;
    Ok(u64::from_le_bytes(length))
}

/// The gaps, behind the bytes of the area.
pub(super) fn gaps(stream: &mut dyn Read) -> io::Result<Vec<Gap>> {
    let mut bytes = Vec::new();
    let limit = usize_as_u64((MAX_GAPS + 512) * GAP_BYTES);
    stream.take(limit).read_to_end(&mut bytes)?;
    let gap = |gap: &[u8]| {
        let (start, rest) = gap.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(Gap {
            start: u64::from_le_bytes(*start),
            length: u64::from_le_bytes(*length),
            errno: i32::from_le_bytes(rest.try_into().ok()?),
        })
    };
    Ok(bytes.chunks_exact(GAP_BYTES).filter_map(gap).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An area whose pages have their numbers, behind the header.
    pub(in super::super) fn area(pages: u32) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..pages)
            .flat_map(|page| page.to_le_bytes().repeat(1024))
            .collect();
        bytes[..4096].fill(0);
        bytes[1024] = 1;
        bytes[LAST_PAGE_AT..LAST_PAGE_AT + 4].copy_from_slice(&(pages - 1).to_le_bytes());
        bytes[4086..4096].copy_from_slice(SIGNATURE);
        bytes
    }

    fn expected(pages: u64) -> Expected {
        Expected {
            is_file: true,
            usable_bytes: pages * 4096,
            page_bytes: 4096,
        }
    }

    fn opened(content: &[u8], expected: Expected) -> io::Result<AreaReader> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("swapfile");
        std::fs::write(&path, content)?;
        AreaReader::open(&path, expected)
    }

    #[test]
    fn an_area_is_read_whole_and_says_its_length_first() {
        for pages in [2, 255, 256, 257, 700] {
            let whole = area(pages);
            let mut reader = opened(&whole, expected(u64::from(pages) - 1)).unwrap();
            assert_eq!(length(&mut reader).unwrap(), usize_as_u64(whole.len()));
            let mut found = vec![0; whole.len()];
            reader.read_exact(&mut found).unwrap();
            assert!(found == whole, "{pages}");
            assert_eq!(gaps(&mut reader).unwrap(), []);
        }
    }

    #[test]
    fn what_follows_the_area_in_its_file_is_left_out() {
        let whole = area(10);
        let mut long = whole.clone();
        long.extend([0xee; 9000]);
        let mut reader = opened(&long, expected(9)).unwrap();
        assert_eq!(length(&mut reader).unwrap(), usize_as_u64(whole.len()));
        let mut found = Vec::new();
        reader.read_to_end(&mut found).unwrap();
        assert!(found == whole);
    }

    #[test]
    fn another_file_of_that_name_is_refused() {
        let whole = area(10);
        let mut other = whole.clone();
        other[4090] ^= 1;
        let refused = |content: &[u8], expected| {
            let error = opened(content, expected).err().unwrap();
            error.to_string()
        };
        let said = refused(&other, expected(9));
        assert!(said.contains("does not begin with the header"), "{said}");
        let said = refused(&whole, expected(10));
        assert!(said.contains("smaller"), "{said}");
        let device = Expected {
            is_file: false,
            ..expected(9)
        };
        let said = refused(&whole, device);
        assert!(said.contains("another mount namespace"), "{said}");
        assert!(opened(&whole[..4000], expected(9)).is_err());
        assert!(opened(&[], expected(9)).is_err());
        for page_bytes in [0, 100, 5000, 1 << 40] {
            let odd = Expected {
                page_bytes,
                ..expected(9)
            };
            assert!(opened(&whole, odd).is_err(), "{page_bytes}");
        }
    }

    #[test]
    fn pages_that_cannot_be_read_are_zero_and_said() {
        let whole = area(700);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swapfile");
        std::fs::write(&path, &whole).unwrap();
        let mut reader = AreaReader::open(&path, expected(699)).unwrap();
        // Whoever has the file open makes it shorter in the meantime.
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(300 * 4096).unwrap();
        assert_eq!(length(&mut reader).unwrap(), usize_as_u64(whole.len()));
        let mut found = vec![0; whole.len()];
        reader.read_exact(&mut found).unwrap();
        let (kept, lost) = (300 * 4096, 400 * 4096);
        assert!(found[..kept] == whole[..kept]);
        assert!(found[kept..].iter().all(|&byte| byte == 0));
        let gap = Gap {
            start: usize_as_u64(kept),
            length: lost,
            errno: Errno::EIO.get(),
        };
        assert_eq!(gaps(&mut reader).unwrap(), [gap]);
    }
}
