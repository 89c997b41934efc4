// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing artifacts: a tar archive in zstd frames.
//!
//! Each file is in a frame of its own, after another frame with its header, so that it
//! can be read without the files before it; `tar --zstd` sees one archive. The length of
//! a file is known only at its end (stat reports 0 for files in /proc), so its frame is
//! made first, and written after its header.

use super::archive::MAX_CONTENT_BYTES;
use crate::hash::sha256_of;
use crate::spool::{Scratch, Spool};
use crate::stop::Stop;
use linpmem_manifest::Sha256Sum;
use linpmem_phys::PhysLen;
use linpmem_phys::num::{len_bytes, usize_as_u64};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use tar::{EntryType, Header};
use zstd::stream::write::Encoder;

/// Level 3 compresses symbols and types to a fifth, with about 4 MiB of memory.
const LEVEL: i32 = 3;
/// tar pads everything to a multiple of this.
const BLOCK_BYTES: usize = 512;
/// Bytes that are read at a time.
const STEP_BYTES: usize = 64 << 10;

/// An archive that is being written.
pub(super) struct ArchiveWriter {
    out: HashedFile,
    scratch: Scratch,
    files: Vec<ArchivedFile>,
    /// The sum of the files' lengths, at most [`MAX_CONTENT_BYTES`].
    content_bytes: u64,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArchivedFile {
    pub(super) name: String,
    pub(super) length: u64,
    pub(super) sha256: Sha256Sum,
    /// The offset of its frame in the archive.
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
