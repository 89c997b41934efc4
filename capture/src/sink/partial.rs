// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that get their name when they are complete.

use linpmem_manifest::paths::partial_of;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file under its working name. It is removed when dropped, so that a run that fails
/// before it wrote anything useful leaves nothing behind. [`commit`](Self::commit) and
/// [`leave`](Self::leave) keep it.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    force: bool,
    is_kept: bool,
}

/// A file that could not be created or named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartialError {
    /// The file exists already.
    #[error("{path} exists already: choose another name, or replace it with --force")]
    Exists {
        /// The final name.
        path: PathBuf,
    },
    /// A file with the working name is left over, or is being written.
    #[error(
        "{path} exists already: another run is writing it or was interrupted; keep it under \
         another name, or replace it with --force"
    )]
    Leftover {
        /// The working name.
        path: PathBuf,
    },
    /// The name is that of a folder.
    #[error("{path} is a folder: add a file name")]
    Folder {
        /// The final name.
        path: PathBuf,
    },
    /// The system's reason.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl PartialFile {
    /// Creates `partial`, mode 0600, which is to become `path`. Neither may exist
    /// unless `force` is given, not even as a symbolic link to nowhere; with
    /// `force` links are replaced, not followed.
    ///
    /// # Errors
    /// If one exists, or the file cannot be created.
    pub fn create(path: &Path, partial: PathBuf, force: bool) -> Result<Self, PartialError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(PartialError::Folder {
                    path: path.to_path_buf(),
                });
            }
            Ok(_) if !force => {
                return Err(PartialError::Exists {
                    path: path.to_path_buf(),
                });
            }
            _ => {}
        }
        if force {
            match fs::remove_file(&partial) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(PartialError::io("removing", &partial, source));
                }
                _ => {}
            }
        }
        // O_EXCL does not follow links either; O_NOFOLLOW makes that explicit.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
            .open(&partial)
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => PartialError::Leftover {
                    path: partial.clone(),
                },
                _ => PartialError::io("creating", &partial, source),
            })?;
        Ok(Self {
            file,
            partial,
            path: path.to_path_buf(),
            force,
            is_kept: false,
        })
    }

    /// Writes `bytes` to a new file at `path`, which gets that name when they are on disk.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`commit`](Self::commit).
    pub fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), PartialError> {
        let file = Self::create(path, partial_of(path), force)?;
        let written = file.file().write_all(bytes);
        written
            .and_then(|()| file.file().sync_all())
            .map_err(|source| PartialError::io("writing", path, source))?;
        file.commit()
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The name that it is to get.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name until it is complete.
    #[must_use]
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Leaves the file under its working name, which it returns.
    pub fn leave(mut self) -> PathBuf {
        self.is_kept = true;
        self.partial.clone()
    }

    /// Gives the file its final name. The bytes must be on the disk already.
    ///
    /// # Errors
    /// If something of that name has appeared since, or the disk failed. The file then
    /// keeps its working name: its bytes are good.
    pub fn commit(mut self) -> Result<(), PartialError> {
        self.is_kept = true;
        let renamed = if self.force {
            fs::rename(&self.partial, &self.path)
        } else {
            rename_new(&self.partial, &self.path)
        };
        renamed.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => PartialError::Exists {
                path: self.path.clone(),
            },
            _ => PartialError::io("renaming to", &self.path, source),
        })?;
        let folder = folder_of(&self.path);
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| PartialError::io("syncing to disk", folder, source))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // If it cannot be removed, the next run reports it.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

impl PartialError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }
}

/// The folder that contains `path`.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Renames without replacing anything.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems (NFS, FUSE) lack the flag, so the name is checked first. A hard
        // link would do both in one step, but not all of these file systems have hard links.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::symlink_metadata(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        },
        Err(errno) => Err(errno.into()),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn create(folder: &Path, force: bool) -> Result<PartialFile, PartialError> {
        PartialFile::create(&folder.join("a"), folder.join("a.partial"), force)
    }

    #[test]
    fn gets_its_name_at_the_end_and_is_nobody_elses_business() {
        let folder = tempfile::tempdir().unwrap();
        let partial = create(folder.path(), false).unwrap();
        partial.file().write_all(b"x").unwrap();
        assert!(!folder.path().join("a").exists());
        partial.commit().unwrap();
        let metadata = fs::metadata(folder.path().join("a")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join("a.partial").exists());
    }

    #[test]
    fn nothing_is_replaced_without_force() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"old").unwrap();
        assert!(matches!(
            create(folder.path(), false),
            Err(PartialError::Exists { .. })
        ));
        fs::remove_file(folder.path().join("a")).unwrap();
        let first = create(folder.path(), false).unwrap();
        assert!(matches!(
            create(folder.path(), false),
            Err(PartialError::Leftover { .. })
        ));
        fs::write(folder.path().join("a"), b"new").unwrap();
        assert!(matches!(first.commit(), Err(PartialError::Exists { .. })));
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"new");
        create(folder.path(), true).unwrap().commit().unwrap();
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"");
    }

    #[test]
    fn a_file_that_nobody_keeps_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let count = || folder.path().read_dir().unwrap().count();
        drop(create(folder.path(), false).unwrap());
        assert_eq!(count(), 0);
        let left = create(folder.path(), false).unwrap().leave();
        assert_eq!(left, folder.path().join("a.partial"));
        assert!(left.exists());
    }

    #[test]
    fn links_are_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        for name in ["a", "a.partial"] {
            let link = folder.path().join(name);
            symlink(&victim, &link).unwrap();
            assert!(create(folder.path(), false).is_err(), "{name}");
            fs::remove_file(link).unwrap();
        }
        symlink(&victim, folder.path().join("a")).unwrap();
        symlink(&victim, folder.path().join("a.partial")).unwrap();
        create(folder.path(), true).unwrap().commit().unwrap();
        assert!(!victim.exists());
        let metadata = fs::symlink_metadata(folder.path().join("a")).unwrap();
        assert!(metadata.is_file());
    }

    #[test]
    fn a_folder_is_said_to_be_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        assert!(matches!(
            create(folder.path(), true),
            Err(PartialError::Folder { .. })
        ));
    }
}
