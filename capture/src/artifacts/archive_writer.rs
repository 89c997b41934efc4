// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing artifacts: a tar archive in zstd frames.
//!
//! Each file is a frame of its own behind one with its header, so that it can be
//! read again without those before it; `tar --zstd` sees one archive. The length
//! of a file is not known before its end (those in /proc have none of their own),
//! so its frame is made first and its header written before it.

use super::archive::MAX_CONTENT_BYTES;
use crate::hash::sha256_of;
use crate::spool::Spool;
use crate::stop::Stop;
use linpmem_manifest::Sha256Sum;
use linpmem_phys::PhysLen;
use linpmem_phys::num::len_bytes;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use tar::{EntryType, Header};
use zstd::stream::write::Encoder;

/// Level 3 packs symbols and types to a fifth, in about 4 MiB of memory.
const LEVEL: i32 = 3;
/// tar's unit.
const BLOCK_BYTES: u64 = 512;
/// Bytes that are read at a time.
const STEP_BYTES: usize = 64 << 10;

/// An archive in the making.
pub(super) struct ArchiveWriter {
    out: Out,
    spool_folder: PathBuf,
    files: Vec<WrittenFile>,
    content_bytes: u64,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenFile {
    pub(super) name: String,
    pub(super) length: u64,
    pub(super) sha256: Sha256Sum,
    /// Of its frame in the archive.
    pub(super) offset: u64,
}

/// An archive that is complete.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) file: File,
    pub(super) files: Vec<WrittenFile>,
    pub(super) length: u64,
    pub(super) sha256: Sha256Sum,
}

/// A file that was not added.
#[derive(Debug)]
pub(super) enum AddError {
    /// It cannot be read; the archive is as it was.
    Content(io::Error),
    /// The archive cannot be written, or the run was asked to stop.
    Archive(io::Error),
}

impl ArchiveWriter {
    /// An archive in `file`, which is empty. What is too large for memory lies in
    /// `spool_folder` for a while.
    pub(super) fn new(file: File, spool_folder: PathBuf) -> Self {
        Self {
            out: Out {
                file,
                position: 0,
                hasher: Sha256::new(),
            },
            spool_folder,
            files: Vec::new(),
            content_bytes: 0,
        }
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Adds a file of at most `limit` bytes.
    pub(super) fn add(
        &mut self,
        name: &str,
        content: &mut dyn Read,
        limit: u64,
        stop: &Stop,
    ) -> Result<(), AddError> {
        let room = MAX_CONTENT_BYTES.saturating_sub(self.content_bytes);
        let limit = limit.min(room);
        let mut frame = frame(Spool::new(self.spool_folder.clone())).map_err(AddError::Archive)?;
        let (mut length, mut hasher) = (0_u64, Sha256::new());
        let mut step = vec![0; STEP_BYTES];
        loop {
            if stop.is_raised() {
                return Err(AddError::Archive(io::ErrorKind::Interrupted.into()));
            }
            let bytes = match content.read(&mut step) {
                Ok(0) => break,
                Ok(size) => step.get(..size).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AddError::Content(error)),
            };
            length = length.saturating_add(len_bytes(bytes));
            if length > limit {
                return Err(AddError::Content(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("it has more than {}", PhysLen::new(limit)),
                )));
            }
            hasher.update(bytes);
            frame.write_all(bytes).map_err(AddError::Archive)?;
        }
        let padding = length.next_multiple_of(BLOCK_BYTES).saturating_sub(length);
        io::copy(&mut io::repeat(0).take(padding), &mut frame).map_err(AddError::Archive)?;
        let spool = frame.finish().map_err(AddError::Archive)?;
        self.content_bytes = self.content_bytes.saturating_add(length);
        self.append(name, length, sha256_of(hasher), spool)
            .map_err(AddError::Archive)
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
        self.files.push(WrittenFile {
            name: name.to_owned(),
            length,
            sha256,
            offset: self.out.position,
        });
        content.move_to(&mut self.out)
    }

    /// The header, and before it another one with the name if that is long.
    fn header(&self, name: &str, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut header = self.header_of(EntryType::Regular, length);
        if header.set_path(name).is_err() {
            // As GNU's tar does it: the name is the content of an entry before.
            let mut long = self.header_of(EntryType::GNULongName, len_bytes(name.as_bytes()) + 1);
            long.set_path("././@LongLink")?;
            long.set_cksum();
            bytes.extend_from_slice(long.as_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
            let block = usize::try_from(BLOCK_BYTES).unwrap_or(usize::MAX);
            bytes.resize(bytes.len().next_multiple_of(block), 0);
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
        // Archives do not differ because of when they were made.
        header.set_mtime(0);
        header.set_size(length);
        header
    }

    /// Ends the archive: two blocks of zeros.
    pub(super) fn finish(mut self) -> io::Result<Written> {
        let end = zstd::bulk::compress(&[0; 1024], LEVEL)?;
        self.out.write_all(&end)?;
        Ok(Written {
            file: self.out.file,
            files: self.files,
            length: self.out.position,
            sha256: sha256_of(self.out.hasher),
        })
    }
}

fn frame(spool: Spool) -> io::Result<Encoder<'static, Spool>> {
    let mut frame = Encoder::new(spool, LEVEL)?;
    // `zstd -t` then finds flipped bits without the manifest.
    frame.include_checksum(true)?;
    Ok(frame)
}

/// The archive's file.
struct Out {
    file: File,
    position: u64,
    hasher: Sha256,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.position)?;
        self.hasher.update(bytes);
        self.position = self.position.saturating_add(len_bytes(bytes));
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
    use linpmem_formats::FileSource;
    use std::sync::Arc;

    fn written(files: &[(&str, Vec<u8>)]) -> Written {
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().to_path_buf();
        let mut writer = ArchiveWriter::new(tempfile::tempfile().unwrap(), spool);
        for (name, content) in files {
            let added = writer.add(name, &mut content.as_slice(), 1 << 20, &Stop::default());
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
    fn our_reader_and_tar_read_back_what_was_written() {
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
        let archive = Archive::open(source, 0, written.length).unwrap();
        assert_eq!(archive.damage(), None);
        let names: Vec<&str> = archive.entries().iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, files.each_ref().map(|(name, _)| *name));
        for (name, content) in &files {
            let mut found = Vec::new();
            archive.open(name).unwrap().read_to_end(&mut found).unwrap();
            assert!(&found == content, "{name}");
        }
        // And the system's tar.
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

    #[test]
    fn a_file_that_fails_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().to_path_buf();
        let mut writer = ArchiveWriter::new(tempfile::tempfile().unwrap(), spool);
        let stop = Stop::default();
        let mut endless = io::repeat(1);
        let error = writer.add("endless", &mut endless, 1 << 20, &stop);
        assert!(matches!(error, Err(AddError::Content(_))), "{error:?}");
        let added = writer.add("good", &mut &b"good"[..], 10, &stop);
        assert!(added.is_ok());
        let written = writer.finish().unwrap();
        let source = Arc::new(FileSource::new(written.file).unwrap());
        let archive = Archive::open(source, 0, written.length).unwrap();
        assert_eq!(archive.entries().len(), 1);
    }
}
