// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that are needed later, kept in memory while they are few.

use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes that are kept in memory; for more, a file is created.
const IN_MEMORY: usize = 64 << 10;

/// Where files without a name are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scratch {
    /// In this folder.
    Folder(PathBuf),
    /// In memory: nothing may be left on this machine's disks.
    Memory,
}

/// An append-only store in a file without a name.
#[derive(Debug)]
pub struct Spool {
    scratch: Scratch,
    memory: Vec<u8>,
    file: Option<File>,
}

impl Spool {
    /// A store whose file, if one is needed, is in `scratch`.
    #[must_use]
    pub const fn new(scratch: Scratch) -> Self {
        Self {
            scratch,
            memory: Vec::new(),
            file: None,
        }
    }

    /// Appends the content to `out` and empties the store.
    ///
    /// # Errors
    /// The file's or those of `out`.
    pub fn move_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some(mut file) = self.file.take() {
            file.rewind()?;
            // Not io::copy's own buffer, which is on the stack of the caller.
            let mut buffer = vec![0; IN_MEMORY];
            loop {
                let len = file.read(&mut buffer)?;
                if len == 0 {
                    break;
                }
                out.write_all(buffer.get(..len).unwrap_or_default())?;
            }
        }
        out.write_all(&self.memory)?;
        self.memory.clear();
        Ok(())
    }
}

impl Scratch {
    /// A file without a name, which disappears when it is closed.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn file(&self) -> io::Result<File> {
        match self {
            Self::Folder(folder) => unnamed_file(folder),
            Self::Memory => {
                let flags = MemfdFlags::CLOEXEC;
                Ok(memfd_create("linpmem-dump", flags)?.into())
            }
        }
    }
}

/// A file in `folder` that has no name, and disappears when it is closed.
///
/// # Errors
/// If it cannot be created.
pub fn unnamed_file(folder: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::CLOEXEC;
    let unnamed = OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(folder);
    unnamed.or_else(|_| {
        // Some file systems lack O_TMPFILE, so the file has a name for a moment.
        let name = format!(".linpmem-dump-{}.spool", std::process::id());
        let path = folder.join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    })
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.memory.len().saturating_add(bytes.len()) > IN_MEMORY {
            let mut file = match self.file.take() {
                Some(file) => file,
                None => self.scratch.file()?,
            };
            file.write_all(&self.memory)?;
            self.memory.clear();
            self.file = Some(file);
        }
        self.memory.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_got_in_order_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for scratch in [
            Scratch::Folder(folder.path().to_path_buf()),
            Scratch::Memory,
        ] {
            gives_back(Spool::new(scratch));
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    fn gives_back(mut spool: Spool) {
        for round in [10_usize, 100_000, 0] {
            let mut expected = Vec::new();
            for number in 0..round {
                let line = format!("{number}\n");
                spool.write_all(line.as_bytes()).unwrap();
                expected.extend_from_slice(line.as_bytes());
            }
            let mut got = Vec::new();
            spool.move_to(&mut got).unwrap();
            assert!(got == expected, "{round} lines");
            spool.move_to(&mut got).unwrap();
            assert!(got == expected, "{round} lines, and then again");
        }
    }
}
