// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading artifacts from a tar archive in zstd frames, ours or any other.
//!
//! The archive is not trusted: names, lengths and decompressed sizes are limited here.

use super::ArtifactsError;
use super::frame_stream::{FrameStart, FrameStream};
use super::store::{Entry, Store, missing, read_error};
use crate::section::Excerpt;
use linpmem_formats::frames::{self, zstd_frame_at};
use linpmem_formats::{Account, Budget, OverBudget, ReadAt};
use linpmem_phys::num::usize_as_u64;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use tar::EntryType;

/// The limit of all files in an archive together but for swap areas, both when it is written and
/// when it is read.
pub(super) const MAX_CONTENT_BYTES: u64 = 16 << 30;
/// The limit of all swap areas together.
pub(crate) const MAX_SWAP_BYTES: u64 = 1 << 40;
/// The same, with tar's headers and padding.
const MAX_TAR_BYTES: u64 = MAX_CONTENT_BYTES + MAX_SWAP_BYTES + (1 << 30);
/// More files are not listed.
const MAX_FILES: usize = 1 << 16;
/// Longer names are cut off.
const MAX_NAME_BYTES: u64 = 4096;
/// An archive, opened.
pub(super) struct Archive {
    bytes: Arc<dyn ReadAt>,
    account: Arc<Account>,
    entries: Vec<Entry>,
    /// Where each file's content is in the decompressed archive.
    contents: Vec<ContentSpan>,
    /// The index of the first file of each name.
    names: HashMap<String, usize>,
    damage: Option<String>,
}

/// What an archive is called where it exceeds a budget.
pub(super) const WHAT: &str = "the artifacts of an image";

#[derive(Clone, Copy)]
struct ContentSpan {
    offset: u64,
    len: u64,
    /// A frame that does not begin behind it.
    start: FrameStart,
}

impl Archive {
    /// The archive in `len` bytes of `bytes`, from `offset` on. Of a damaged archive, the
    /// files before the damage are listed.
    ///
    /// # Errors
    /// If not a single file can be listed, or the archive needs more than `budget`.
    pub(super) fn open(
        bytes: Arc<dyn ReadAt>,
        offset: u64,
        len: u64,
        budget: &Budget,
    ) -> io::Result<Self> {
        let bytes: Arc<dyn ReadAt> = Arc::new(Excerpt::new(bytes, offset, len)?);
        let mut archive = Self {
            account: Arc::new(budget.open(&bytes)),
            names: HashMap::new(),
            bytes,
            entries: Vec::new(),
            contents: Vec::new(),
            damage: None,
        };
        if let Err(error) = archive.scan() {
            if error
                .get_ref()
                .is_some_and(|cause| cause.is::<OverBudget>())
            {
                return Err(error);
            }
            if archive.entries.is_empty() {
                return Err(io::Error::new(
                    error.kind(),
                    format!("not a zstd-compressed tar archive: {error}"),
                ));
            }
            archive.damage = Some(error.to_string());
        }
        Ok(archive)
    }

    /// What is wrong, if it is damaged.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    fn scan(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let stream = self.stream(FrameStart::default());
        let start = stream.start();
        let mut tar = tar::Archive::new(stream);
        let mut long_name = None;
        for entry in tar.entries_with_seek()?.raw(true) {
            let mut entry = entry?;
            let kind = entry.header().entry_type();
            if kind == EntryType::GNULongName {
                let mut name = Vec::new();
                (&mut entry).take(MAX_NAME_BYTES).read_to_end(&mut name)?;
                long_name = Some(name);
                continue;
            }
            let name = long_name
                .take()
                .unwrap_or_else(|| entry.path_bytes().into_owned());
            if kind != EntryType::Regular {
                continue;
            }
            if self.entries.len() == MAX_FILES {
                return Err(io::Error::other(format!(
                    "the archive has more than {MAX_FILES} files"
                )));
            }
            let content = ContentSpan {
                offset: entry.raw_file_position(),
                len: entry.header().entry_size()?,
                start: start.get(),
            };
            let name = clean(&name);
            // In the list, in the table, and where the list is shown.
            self.account.hold_items::<(Entry, ContentSpan)>(WHAT, 2)?;
            self.account.hold(WHAT, 3 * usize_as_u64(name.len()))?;
            self.contents.push(content);
            self.names.entry(name.clone()).or_insert(self.entries.len());
            self.entries.push(Entry {
                name,
                length: Some(content.len),
            });
        }
        Ok(())
    }

    /// The archive from `start` on, decompressed.
    fn stream(&self, start: FrameStart) -> FrameStream {
        FrameStream::new(&self.bytes, &self.account, start, MAX_TAR_BYTES)
    }

    /// The file of this name in the list.
    fn find(&self, name: &str) -> Result<ContentSpan, ArtifactsError> {
        let index = self.names.get(name);
        let content = index.and_then(|&index| self.contents.get(index));
        content
            .copied()
            .ok_or_else(|| missing(name, "it was not collected"))
    }
}

/// The name of an artifact: without a slash or dot at its beginning, and without a NUL at
/// its end.
fn clean(name: &[u8]) -> String {
    let name = name.strip_suffix(&[0]).unwrap_or(name);
    let name = String::from_utf8_lossy(name);
    let name = name.strip_prefix("./").unwrap_or(&name);
    name.trim_start_matches('/').to_owned()
}

impl Store for Archive {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError> {
        let content = self.find(name)?;
        let mut stream = self.stream(content.start);
        let skipped = stream.seek(SeekFrom::Start(content.offset));
        skipped.map_err(read_error(name))?;
        Ok(Box::new(Exactly {
            inner: stream,
            left: content.len,
        }))
    }

    fn at(&self, name: &str) -> Result<Option<Arc<dyn ReadAt>>, ArtifactsError> {
        let content = self.find(name)?;
        let start = content.start;
        let end = content.offset.checked_add(content.len);
        let end = end.ok_or_else(|| read_error(name)(io::ErrorKind::InvalidData.into()))?;
        let (mut archive, mut position) = (start.archive, start.content);
        while position < end {
            let Ok(frame) = zstd_frame_at(&self.bytes, archive) else {
                return Ok(None);
            };
            let worked = self.account.item(WHAT).map_err(io::Error::from);
            worked.map_err(read_error(name))?;
            archive += u64::from(frame.compressed_bytes);
            position += u64::from(frame.content_bytes);
        }
        let excerpt =
            |bytes, offset, len| Excerpt::new(bytes, offset, len).map_err(read_error(name));
        let part = excerpt(
            Arc::clone(&self.bytes),
            start.archive,
            archive - start.archive,
        )?;
        let frames = frames::Reader::within(part, self.account.budget());
        let frames = frames.map_err(|error| read_error(name)(io::Error::other(error)))?;
        let within = content.offset - start.content;
        let file = excerpt(Arc::new(frames), within, content.len)?;
        Ok(Some(Arc::new(file)))
    }

    fn each(
        &self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), ArtifactsError>,
    ) -> Result<(), ArtifactsError> {
        // One pass; opening each file by its name would decompress the archive again and
        // again.
        let mut stream = self.stream(FrameStart::default());
        for (entry, content) in self.entries.iter().zip(&self.contents) {
            let skipped = stream.seek(SeekFrom::Start(content.offset));
            skipped.map_err(read_error(&entry.name))?;
            let mut file = Exactly {
                inner: &mut stream,
                left: content.len,
            };
            take(entry, &mut file)?;
        }
        Ok(())
    }

    fn pick(
        &self,
        limit: &dyn Fn(&str) -> Option<u64>,
        take: &mut dyn FnMut(&str, Vec<u8>),
    ) -> Result<(), ArtifactsError> {
        // One pass, as above. What follows the last file of interest is not read.
        let wanted = |entry: &&Entry| limit(&entry.name).is_some();
        let mut left = self.entries.iter().filter(wanted).count();
        let done = || missing("", "");
        let passed = self.each(&mut |entry, file| {
            let Some(limit) = limit(&entry.name) else {
                return Ok(());
            };
            let mut bytes = Vec::new();
            let read = file.take(limit).read_to_end(&mut bytes);
            read.map_err(read_error(&entry.name))?;
            // One that is larger is left out.
            if file.read(&mut [0]).map_err(read_error(&entry.name))? == 0 {
                take(&entry.name, bytes);
            }
            left -= 1;
            if left == 0 { Err(done()) } else { Ok(()) }
        });
        match passed {
            Err(_) if left == 0 => Ok(()),
            other => other,
        }
    }

    fn damage(&self) -> Option<&str> {
        Archive::damage(self)
    }
}

/// The next `left` bytes of `inner`; it is an error if they end early.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let size = (&mut self.inner).take(self.left).read(buf)?;
        if size == 0 && self.left > 0 && !buf.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive is truncated",
            ));
        }
        // `take` returns no more.
        self.left -= usize_as_u64(size);
        Ok(size)
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(bytes: Vec<u8>) -> io::Result<Archive> {
        let len = ReadAt::len(&bytes);
        Archive::open(Arc::new(bytes), 0, len, &Budget::default())
    }

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len());
            header.set_mode(0o600);
            tar.append_data(&mut header, name, *content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn anything_but_an_archive_is_refused() {
        for bytes in [Vec::new(), vec![0; 4096], b"x".repeat(4096)] {
            assert!(archive(bytes).is_err());
        }
    }

    #[test]
    fn every_cut_is_an_error_or_reported_as_damage() {
        let noise: Vec<u8> = (0..9000_u32)
            .map(|at| ((at * at) >> 5).to_le_bytes()[0])
            .collect();
        let tar = tar_of(&[("a", b"first"), ("b", &noise), ("c", b"last")]);
        let whole = zstd::encode_all(tar.as_slice(), 3).unwrap();
        for cut in (0..whole.len()).step_by(7) {
            let Ok(archive) = archive(whole[..cut].to_vec()) else {
                continue;
            };
            let is_whole = archive.entries().iter().all(|entry| {
                let mut content = Vec::new();
                let opened = archive.open(&entry.name);
                opened.is_ok_and(|mut file| file.read_to_end(&mut content).is_ok())
            });
            let count = archive.entries().len();
            assert!(
                archive.damage().is_some() || !is_whole || count == 3,
                "{cut}"
            );
        }
    }

    #[test]
    fn huge_lengths_and_wide_windows_are_refused() {
        let mut tar = tar_of(&[("a", b"first")]);
        // Its size field, in octal: 8 GiB that do not follow.
        tar[124..136].copy_from_slice(b"77777777777\0");
        let sum: u32 = tar[..512]
            .iter()
            .enumerate()
            .map(|(at, &byte)| u32::from(if (148..156).contains(&at) { b' ' } else { byte }))
            .sum();
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let forged = archive(zstd::encode_all(tar.as_slice(), 3).unwrap()).unwrap();
        assert!(forged.damage().is_some());
        let mut content = Vec::new();
        assert!(forged.open("a").unwrap().read_to_end(&mut content).is_err());
        let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
        wide.window_log(27).unwrap();
        io::copy(&mut tar_of(&[("a", b"first")]).as_slice(), &mut wide).unwrap();
        assert!(archive(wide.finish().unwrap()).is_err());
    }
}
