// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing artifacts: a tar archive in zstd frames.
//!
//! Each file is in a frame of its own, after another frame with its header, so that it
//! can be read without the files before it; `tar --zstd` sees one archive. The length of
//! a file is known only at its end (stat reports 0 for files in /proc), so its frame is
//! made first, and written after its header.
//!
//! A swap area is written as it is read, in frames of 1 MiB, so that any of its pages can be read
//! without those before it. Its length is known.

use super::archive::{MAX_CONTENT_BYTES, MAX_SWAP_BYTES};
use crate::hash::sha256_of;
use crate::spool::{Scratch, Spool};
use crate::stop::Stop;
use linpmem_manifest::Sha256Sum;
use linpmem_phys::PhysLen;
use linpmem_phys::num::{len_bytes, u64_as_usize, usize_as_u64};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use tar::{EntryType, Header};
use zstd::bulk::Compressor;
use zstd::stream::write::Encoder;
use zstd::zstd_safe::CParameter;

/// Level 3 compresses symbols and types to a fifth, with about 4 MiB of memory.
const LEVEL: i32 = 3;
/// tar pads everything to a multiple of this.
const BLOCK_BYTES: usize = 512;
/// Bytes that are read at a time.
const STEP_BYTES: usize = 64 << 10;
/// Bytes of a swap area in one frame.
const PIECE_BYTES: usize = 1 << 20;

/// An archive that is being written.
pub(super) struct ArchiveWriter {
    out: HashedFile,
    scratch: Scratch,
    files: Vec<ArchivedFile>,
    /// The sum of the files' lengths, at most [`MAX_CONTENT_BYTES`].
    content_bytes: u64,
    /// The sum of the swap areas' lengths, at most [`MAX_SWAP_BYTES`].
    swap_bytes: u64,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArchivedFile {
    pub(super) name: String,
    pub(super) length: u64,
    pub(super) sha256: Sha256Sum,
    /// The offset of its frame in the archive, or of the first of them.
    pub(super) offset: u64,
}

/// A complete archive.
#[derive(Debug)]
pub(super) struct WrittenArchive {
    pub(super) file: File,
    pub(super) files: Vec<ArchivedFile>,
    pub(super) length: u64,
    pub(super) sha256: Sha256Sum,
}

/// A file that was not added.
#[derive(Debug)]
pub(super) enum AddError {
    /// The file cannot be read; the archive is unchanged.
    Content(io::Error),
    /// The archive cannot be written, or the run was interrupted.
    Archive(io::Error),
}

impl ArchiveWriter {
    /// An archive in `file`, which is empty. A file that is too large for memory is kept
    /// in `scratch` until it can be written.
    pub(super) fn new(file: File, scratch: Scratch) -> Self {
        Self {
            out: HashedFile {
                file,
                position: 0,
                hasher: Sha256::new(),
            },
            scratch,
            files: Vec::new(),
            content_bytes: 0,
            swap_bytes: 0,
        }
    }

    /// Whether no file was added.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Adds a file, which may have no more than `limit` bytes if there is a limit.
    pub(super) fn add(
        &mut self,
        name: &str,
        content: &mut dyn Read,
        limit: Option<u64>,
        stop: &Stop,
    ) -> Result<(), AddError> {
        let room = MAX_CONTENT_BYTES - self.content_bytes;
        let limit = limit.map_or(room, |limit| limit.min(room));
        let mut frame = frame(Spool::new(self.scratch.clone())).map_err(AddError::Archive)?;
        let (mut length, mut hasher) = (0_u64, Sha256::new());
        let mut step = vec![0; STEP_BYTES];
        loop {
            if stop.is_raised() {
                return Err(AddError::Archive(io::ErrorKind::Interrupted.into()));
            }
            let bytes = match content.read(&mut step) {
                Ok(0) => break,
                Ok(size) => step.split_at(size).0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AddError::Content(error)),
            };
            length += len_bytes(bytes);
            if length > limit {
                return Err(AddError::Content(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("larger than the limit of {}", PhysLen::new(limit)),
                )));
            }
            hasher.update(bytes);
            frame.write_all(bytes).map_err(AddError::Archive)?;
        }
        let padding = length.next_multiple_of(usize_as_u64(BLOCK_BYTES)) - length;
        io::copy(&mut io::repeat(0).take(padding), &mut frame).map_err(AddError::Archive)?;
        let spool = frame.finish().map_err(AddError::Archive)?;
        self.content_bytes += length;
        self.append(name, length, sha256_of(hasher), spool)
            .map_err(AddError::Archive)
    }

    /// Adds a swap area of `length` bytes, all of which `content` has.
    pub(super) fn add_area(
        &mut self,
        name: &str,
        length: u64,
        content: &mut dyn Read,
        stop: &Stop,
    ) -> Result<(), AddError> {
        let room = MAX_SWAP_BYTES - self.swap_bytes;
        if length > room {
            return Err(AddError::Content(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than the limit of {}", PhysLen::new(room)),
            )));
        }
        let before = (self.out.position, self.out.hasher.clone());
        let added = self.write_area(name, length, content, stop);
        match added {
            Ok(file) => {
                self.files.push(file);
                self.swap_bytes += length;
                Ok(())
            }
            Err(error) => {
                (self.out.position, self.out.hasher) = before;
                self.out.cut().map_err(AddError::Archive)?;
                Err(error)
            }
        }
    }

    fn write_area(
        &mut self,
        name: &str,
        length: u64,
        content: &mut dyn Read,
        stop: &Stop,
    ) -> Result<ArchivedFile, AddError> {
        let header = self.header(name, length).map_err(AddError::Archive)?;
        let header = zstd::bulk::compress(&header, LEVEL).map_err(AddError::Archive)?;
        self.out.write_all(&header).map_err(AddError::Archive)?;
        let offset = self.out.position;
        let mut compressor = Compressor::new(LEVEL).map_err(AddError::Archive)?;
        let checked = compressor.set_parameter(CParameter::ChecksumFlag(true));
        checked.map_err(AddError::Archive)?;
        let mut hasher = Sha256::new();
        let mut piece = Vec::new();
        let mut left = length;
        while left > 0 {
            if stop.is_raised() {
                return Err(AddError::Archive(io::ErrorKind::Interrupted.into()));
            }
            let len = PIECE_BYTES.min(u64_as_usize(left));
            piece.resize(len, 0);
            content.read_exact(&mut piece).map_err(AddError::Content)?;
            hasher.update(&piece);
            left -= usize_as_u64(len);
            // Pieces are a multiple of tar's blocks, but for the last one.
            piece.resize(len.next_multiple_of(BLOCK_BYTES), 0);
            let frame = compressor.compress(&piece).map_err(AddError::Archive)?;
            self.out.write_all(&frame).map_err(AddError::Archive)?;
        }
        Ok(ArchivedFile {
            name: name.to_owned(),
            length,
            sha256: sha256_of(hasher),
            offset,
        })
    }

    fn append(
        &mut self,
        name: &str,
        length: u64,
        sha256: Sha256Sum,
        mut content: Spool,
    ) -> io::Result<()> {
        let header = self.header(name, length)?;
        let header = zstd::bulk::compress(&header, LEVEL)?;
        self.out.write_all(&header)?;
        self.files.push(ArchivedFile {
            name: name.to_owned(),
            length,
            sha256,
            offset: self.out.position,
        });
        content.move_to(&mut self.out)
    }

    /// The header of a file; before it, another one if the name is long.
    fn header(&self, name: &str, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut header = self.header_of(EntryType::Regular, length);
        if header.set_path(name).is_err() {
            // As GNU tar does it: the name is the content of an entry before it.
            let mut long = self.header_of(EntryType::GNULongName, len_bytes(name.as_bytes()) + 1);
            long.set_path("././@LongLink")?;
            long.set_cksum();
            bytes.extend_from_slice(long.as_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
            let short = name.char_indices().nth(20).map_or(name.len(), |(at, _)| at);
            header.set_path(name.get(..short).unwrap_or("file").trim_end_matches('/'))?;
        }
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        Ok(bytes)
    }

    fn header_of(&self, kind: EntryType, length: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        // The same files give the same archive at any time.
        header.set_mtime(0);
        header.set_size(length);
        header
    }

    /// Ends the archive: two blocks of zeros.
    pub(super) fn finish(mut self) -> io::Result<WrittenArchive> {
        let end = zstd::bulk::compress(&[0; 2 * BLOCK_BYTES], LEVEL)?;
        self.out.write_all(&end)?;
        Ok(WrittenArchive {
            file: self.out.file,
            files: self.files,
            length: self.out.position,
            sha256: sha256_of(self.out.hasher),
        })
    }
}

fn frame(spool: Spool) -> io::Result<Encoder<'static, Spool>> {
    let mut frame = Encoder::new(spool, LEVEL)?;
    // So that `zstd -t` finds flipped bits without the manifest.
    frame.include_checksum(true)?;
    Ok(frame)
}

/// The archive's file, hashed as it is written.
struct HashedFile {
    file: File,
    position: u64,
    hasher: Sha256,
}

impl HashedFile {
    /// Drops what was written behind its position.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.position)
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.position)?;
        self.hasher.update(bytes);
        self.position += len_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::Archive;
    use super::super::store::Store;
    use super::*;
    use crate::hash::sha256;
    use linpmem_formats::Budget;
    use linpmem_formats::FileSource;
    use std::sync::Arc;

    fn written(files: &[(&str, Vec<u8>)]) -> WrittenArchive {
        let folder = tempfile::tempdir().unwrap();
        let spool = Scratch::Folder(folder.path().to_path_buf());
        let mut writer = ArchiveWriter::new(tempfile::tempfile().unwrap(), spool);
        for (name, content) in files {
            let added = writer.add(
                name,
                &mut content.as_slice(),
                Some(1 << 20),
                &Stop::default(),
            );
            assert!(added.is_ok(), "{added:?}");
        }
        writer.finish().unwrap()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn what_was_written_is_read_back_here_and_by_tar() {
        let long = format!("var/{}/end", "long name/".repeat(30));
        let files = [
            ("proc/version", b"Linux\n".to_vec()),
            ("empty", Vec::new()),
            ("proc/kallsyms", noise(300_000)),
            (long.as_str(), b"long".to_vec()),
            ("block", vec![7; 512]),
        ];
        let written = written(&files);
        let source = Arc::new(FileSource::new(written.file.try_clone().unwrap()).unwrap());
        let archive = Archive::open(source, 0, written.length, &Budget::default()).unwrap();
        assert_eq!(archive.damage(), None);
        let names: Vec<&str> = archive.entries().iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, files.each_ref().map(|(name, _)| *name));
        for (name, content) in &files {
            let mut found = Vec::new();
            archive.open(name).unwrap().read_to_end(&mut found).unwrap();
            assert!(&found == content, "{name}");
        }
        // The system's tar reads it as well.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar.zst");
        let mut bytes = vec![0; usize::try_from(written.length).unwrap()];
        written.file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(sha256(&bytes), written.sha256);
        std::fs::write(&path, &bytes).unwrap();
        let zstd = std::process::Command::new("zstd").arg("--version").output();
        if zstd.is_err() {
            println!("SKIPPED: there is no zstd program");
            return;
        }
        let tar = std::process::Command::new("tar")
            .args(["--zstd", "-xf"])
            .arg(&path)
            .arg("-C")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(tar.status.success(), "{tar:?}");
        for (name, content) in &files {
            assert!(&std::fs::read(folder.path().join(name)).unwrap() == content);
        }
    }

    fn spooled() -> ArchiveWriter {
        let spool = Scratch::Folder(std::env::temp_dir());
        ArchiveWriter::new(tempfile::tempfile().unwrap(), spool)
    }

    fn opened(written: WrittenArchive) -> Archive {
        let source = Arc::new(FileSource::new(written.file).unwrap());
        Archive::open(source, 0, written.length, &Budget::default()).unwrap()
    }

    /// Pages that differ and hardly compress.
    fn area(pages: u32) -> Vec<u8> {
        let mut state = 1_u64;
        let words = (0..pages * 512).flat_map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 8).to_le_bytes()
        });
        words.collect()
    }

    #[test]
    fn any_page_of_a_swap_area_is_read_without_those_before_it() {
        let area = area(700);
        let mut writer = spooled();
        let stop = Stop::default();
        let added = writer.add("before", &mut &b"b"[..], None, &stop);
        assert!(added.is_ok());
        let length = usize_as_u64(area.len());
        let added = writer.add_area("swap/0", length, &mut area.as_slice(), &stop);
        assert!(added.is_ok());
        let added = writer.add("after", &mut &b"after"[..], None, &stop);
        assert!(added.is_ok());
        let written = writer.finish().unwrap();
        assert_eq!(written.files[1].sha256, sha256(&area));
        let archive = opened(written);
        let entries = archive.entries().iter();
        let entries: Vec<_> = entries.map(|it| (it.name.as_str(), it.length)).collect();
        let expected = [("before", 1), ("swap/0", length), ("after", 5)];
        assert_eq!(entries, expected.map(|(name, len)| (name, Some(len))));
        let pages = archive.at("swap/0").unwrap().unwrap();
        assert_eq!(pages.len(), length);
        let mut page = [0; 4096];
        for number in [699, 0, 255, 256, 400] {
            pages.read_exact_at(number * 4096, &mut page).unwrap();
            let at = usize::try_from(number).unwrap() * 4096;
            assert!(page == area[at..at + 4096], "page {number}");
        }
        assert!(pages.read_exact_at(length - 4095, &mut page).is_err());
        // From the beginning as well, and in one pass.
        let mut found = Vec::new();
        let mut file = archive.open("swap/0").unwrap();
        file.read_to_end(&mut found).unwrap();
        assert!(found == area);
        let mut lengths = Vec::new();
        let passed = archive.each(&mut |_, file| {
            let mut found = Vec::new();
            file.read_to_end(&mut found).unwrap();
            lengths.push(found.len());
            Ok(())
        });
        assert!(passed.is_ok());
        assert_eq!(lengths, [1, area.len(), 5]);
        // Other files have no more than their length in common with it.
        assert!(archive.at("before").unwrap().is_none());
        assert!(archive.at("missing").is_err());
    }

    #[test]
    fn listing_an_archive_does_not_unpack_swap_areas() {
        let area = area(700);
        let mut writer = spooled();
        let stop = Stop::default();
        let length = usize_as_u64(area.len());
        let added = writer.add_area("swap/0", length, &mut area.as_slice(), &stop);
        assert!(added.is_ok());
        let added = writer.add("last", &mut &b"last"[..], None, &stop);
        assert!(added.is_ok());
        let mut written = writer.finish().unwrap();
        // A byte in the middle of the area is wrong.
        let middle = written.length / 2;
        written.file.write_all_at(&[0x55; 64], middle).unwrap();
        written.length = written.file.metadata().unwrap().len();
        let archive = opened(written);
        assert_eq!((archive.entries().len(), archive.damage()), (2, None));
        let mut found = Vec::new();
        let mut file = archive.open("last").unwrap();
        file.read_to_end(&mut found).unwrap();
        assert_eq!(found, b"last");
        let pages = archive.at("swap/0").unwrap().unwrap();
        let mut page = [0; 4096];
        pages.read_exact_at(0, &mut page).unwrap();
        assert!(page == area[..4096]);
        assert!(pages.read_exact_at(length / 2, &mut page).is_err());
        let mut file = archive.open("swap/0").unwrap();
        assert!(file.read_to_end(&mut found).is_err());
    }

    #[test]
    fn an_area_that_fails_leaves_no_trace() {
        let mut writer = spooled();
        let stop = Stop::default();
        let added = writer.add("first", &mut &b"first"[..], None, &stop);
        assert!(added.is_ok());
        let short = area(300);
        let more = usize_as_u64(short.len()) + 1;
        let error = writer.add_area("swap/0", more, &mut short.as_slice(), &stop);
        assert!(matches!(error, Err(AddError::Content(_))), "{error:?}");
        let stopped = Stop::default();
        stopped.raise();
        let error = writer.add_area("swap/0", 4096, &mut short.as_slice(), &stopped);
        assert!(matches!(error, Err(AddError::Archive(_))), "{error:?}");
        let error = writer.add_area("swap/0", u64::MAX, &mut short.as_slice(), &stop);
        assert!(matches!(error, Err(AddError::Content(_))), "{error:?}");
        let added = writer.add("last", &mut &b"last"[..], None, &stop);
        assert!(added.is_ok());
        let written = writer.finish().unwrap();
        assert_eq!(written.file.metadata().unwrap().len(), written.length);
        let mut bytes = vec![0; usize::try_from(written.length).unwrap()];
        written.file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(sha256(&bytes), written.sha256);
        let archive = opened(written);
        assert_eq!((archive.entries().len(), archive.damage()), (2, None));
    }

    #[test]
    fn a_file_that_fails_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Scratch::Folder(folder.path().to_path_buf());
        let mut writer = ArchiveWriter::new(tempfile::tempfile().unwrap(), spool);
        let stop = Stop::default();
        let mut endless = io::repeat(1);
        let error = writer.add("endless", &mut endless, Some(1 << 20), &stop);
        assert!(matches!(error, Err(AddError::Content(_))), "{error:?}");
        let added = writer.add("good", &mut &b"good"[..], Some(10), &stop);
        assert!(added.is_ok());
        let written = writer.finish().unwrap();
        let source = Arc::new(FileSource::new(written.file).unwrap());
        let archive = Archive::open(source, 0, written.length, &Budget::default()).unwrap();
        assert_eq!(archive.entries().len(), 1);
    }
}
