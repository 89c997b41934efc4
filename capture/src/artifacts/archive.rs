// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading artifacts from a tar archive in zstd frames, ours or any other.
//!
//! The archive comes from a stranger: names, lengths and what it decompresses to
//! are bounded here.

use super::ArtifactsError;
use super::store::{Entry, Store, failed, no_such};
use linpmem_formats::ReadAt;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use tar::EntryType;
use zstd::stream::read::Decoder;

/// What all files of an archive may have together: more is neither written nor
/// read.
pub(super) const MAX_CONTENT_BYTES: u64 = 16 << 30;
/// The same with tar's headers and padding.
const MAX_TAR_BYTES: u64 = MAX_CONTENT_BYTES + (1 << 30);
/// Files that are looked at.
const MAX_FILES: usize = 1 << 16;
/// The longest name.
const MAX_NAME_BYTES: u64 = 4096;
/// The largest window, as a power of two, that a frame may ask for.
const MAX_WINDOW_LOG: u32 = 23;

/// An archive, opened.
pub(super) struct Archive {
    bytes: Arc<dyn ReadAt>,
    offset: u64,
    len: u64,
    entries: Vec<Entry>,
    /// Where each one's content begins in the decompressed archive.
    places: Vec<u64>,
    damage: Option<String>,
}

impl Archive {
    /// The archive in `len` bytes of `bytes`, from `offset` on. One that is damaged
    /// is read as far as it goes.
    ///
    /// # Errors
    /// If it is no such archive at all.
    pub(super) fn open(bytes: Arc<dyn ReadAt>, offset: u64, len: u64) -> io::Result<Self> {
        let mut archive = Self {
            bytes,
            offset,
            len,
            entries: Vec::new(),
            places: Vec::new(),
            damage: None,
        };
        if let Err(error) = archive.scan() {
            if archive.entries.is_empty() {
                return Err(io::Error::new(
                    error.kind(),
                    format!("no tar archive in zstd: {error}"),
                ));
            }
            archive.damage = Some(error.to_string());
        }
        Ok(archive)
    }

    /// Why it breaks off, if it does.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    fn scan(&mut self) -> io::Result<()> {
        let mut tar = tar::Archive::new(self.stream()?);
        let mut long_name = None;
        for entry in tar.entries()?.raw(true) {
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
                return Err(io::Error::other(format!("more than {MAX_FILES} files")));
            }
            self.places.push(entry.raw_file_position());
            self.entries.push(Entry {
                name: clean(&name),
                length: Some(entry.header().entry_size()?),
            });
        }
        Ok(())
    }

    /// The archive from its beginning, decompressed.
    fn stream(&self) -> io::Result<impl Read + use<>> {
        let section = Section {
            bytes: Arc::clone(&self.bytes),
            next: self.offset,
            end: self.offset.saturating_add(self.len),
        };
        let mut decoder = Decoder::with_buffer(BufReader::with_capacity(64 << 10, section))?;
        decoder.window_log_max(MAX_WINDOW_LOG)?;
        Ok(decoder.take(MAX_TAR_BYTES))
    }
}

/// A name as artifacts bear it: without a slash or a dot before it, or a NUL
/// behind it.
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
        let found = self.entries.iter().zip(&self.places);
        let (entry, &place) = found
            .into_iter()
            .find(|(entry, _)| entry.name == name)
            .ok_or_else(|| no_such(name, "it was not gathered"))?;
        let mut stream = self.stream().map_err(failed(name))?;
        let skipped = io::copy(&mut (&mut stream).take(place), &mut io::sink());
        if skipped.map_err(failed(name))? < place {
            return Err(failed(name)(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Box::new(Exactly {
            inner: stream,
            left: entry.length.unwrap_or(0),
        }))
    }

    fn each(
        &self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), ArtifactsError>,
    ) -> Result<(), ArtifactsError> {
        // One pass, where opening each by its name would be many.
        let mut stream = self.stream().map_err(failed("the archive"))?;
        let mut position = 0;
        for (entry, &place) in self.entries.iter().zip(&self.places) {
            let gap = place.saturating_sub(position);
            io::copy(&mut (&mut stream).take(gap), &mut io::sink()).map_err(failed(&entry.name))?;
            let mut content = Exactly {
                inner: &mut stream,
                left: entry.length.unwrap_or(0),
            };
            take(entry, &mut content)?;
            let length = entry.length.unwrap_or(0);
            let consumed = length.saturating_sub(content.left);
            position = place.saturating_add(consumed);
        }
        Ok(())
    }

    fn damage(&self) -> Option<&str> {
        Archive::damage(self)
    }
}

/// A part of what `inner` gives, which must be all there.
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
                "the archive breaks off",
            ));
        }
        self.left = self
            .left
            .saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
        Ok(size)
    }
}

/// Bytes of a source, one after another.
pub(crate) struct Section {
    bytes: Arc<dyn ReadAt>,
    next: u64,
    end: u64,
}

impl Section {
    /// All of `bytes`.
    pub(crate) fn whole(bytes: Arc<dyn ReadAt>) -> Self {
        Self {
            next: 0,
            end: bytes.len(),
            bytes,
        }
    }

    /// `len` bytes from `offset` on.
    pub(super) fn new(bytes: Arc<dyn ReadAt>, offset: u64, len: u64) -> Self {
        Self {
            bytes,
            next: offset,
            end: offset.saturating_add(len),
        }
    }
}

impl Read for Section {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.next)).unwrap_or(usize::MAX);
        let (piece, _) = buf.split_at_mut(left.min(buf.len()));
        self.bytes.read_exact_at(self.next, piece)?;
        let size = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.next = self.next.saturating_add(size);
        Ok(piece.len())
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("offset", &self.offset)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(bytes: Vec<u8>) -> io::Result<Archive> {
        let len = ReadAt::len(&bytes);
        Archive::open(Arc::new(bytes), 0, len)
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
    fn what_is_no_archive_is_refused() {
        for bytes in [Vec::new(), vec![0; 4096], b"x".repeat(4096)] {
            assert!(archive(bytes).is_err());
        }
    }

    #[test]
    fn every_cut_is_an_error_or_named_as_damage() {
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
    fn a_length_without_end_and_a_wide_window_cost_nothing() {
        let mut tar = tar_of(&[("a", b"first")]);
        // Its size field, in octal: 8 GiB that are not there.
        tar[124..136].copy_from_slice(b"77777777777\0");
        let sum: u32 = tar[..512]
            .iter()
            .enumerate()
            .map(|(at, &byte)| u32::from(if (148..156).contains(&at) { b' ' } else { byte }))
            .sum();
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let lying = archive(zstd::encode_all(tar.as_slice(), 3).unwrap()).unwrap();
        assert!(lying.damage().is_some());
        let mut content = Vec::new();
        assert!(lying.open("a").unwrap().read_to_end(&mut content).is_err());
        let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
        wide.window_log(27).unwrap();
        io::copy(&mut tar_of(&[("a", b"first")]).as_slice(), &mut wide).unwrap();
        assert!(archive(wide.finish().unwrap()).is_err());
    }
}
