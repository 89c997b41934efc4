// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that get their name when they are complete.

use linpmem_manifest::paths::partial_of;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, fstat, linkat, openat, readlinkat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file under its working name. It is removed when dropped, so that a run that fails
/// before it wrote anything useful leaves nothing behind. [`commit`](Self::commit) and
/// [`leave`](Self::leave) keep it.
///
/// Its folder is opened once, and all names are looked up in it: whoever may rename
/// folders on the way to it cannot lead the file elsewhere. Only the file that was written
/// gets the final name, not one that was put in its place.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    folder: File,
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
    /// The name is that of a pipe, a socket or a terminal, or of what leads to one.
    #[error(
        "{path} is not a file but a pipe, a socket or a terminal, which is never replaced: name a \
         file, or write to stdout with `-`"
    )]
    Stream {
        /// The name.
        path: PathBuf,
    },
    /// The name is that of a device, or of what leads to one.
    #[error("{path} is a device, which is never replaced: name a file on it")]
    Device {
        /// The name.
        path: PathBuf,
    },
    /// The name is that of a folder.
    #[error("{path} is a folder: add a file name")]
    Folder {
        /// The final name.
        path: PathBuf,
    },
    /// Another file has the name.
    #[error(
        "{path} is not the file that this run wrote: somebody else can write to its folder and \
         has replaced it; do not trust any file there, and acquire again to a folder that only \
         root can write to"
    )]
    Replaced {
        /// The name.
        path: PathBuf,
    },
    /// The folder has another name now, or another folder has its name.
    #[error(
        "{path} is complete, but the folder was moved during the run: the file is in {now} now; \
         somebody else can rename the folder"
    )]
    Moved {
        /// The final name.
        path: PathBuf,
        /// Where the folder is.
        now: PathBuf,
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
        let is_folder = || PartialError::Folder {
            path: path.to_path_buf(),
        };
        let name = path.file_name().ok_or_else(is_folder)?;
        let partial_name = partial.file_name().ok_or_else(is_folder)?;
        let folder = open_folder(folder_of(path))?;
        // What a link leads to: /dev/stdout and the names of process substitution are links.
        if let Ok(found) = statat(&folder, name, AtFlags::empty()) {
            let path = path.to_path_buf();
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Fifo | FileType::Socket => return Err(PartialError::Stream { path }),
                FileType::CharacterDevice if is_terminal(found.st_rdev) => {
                    return Err(PartialError::Stream { path });
                }
                FileType::CharacterDevice | FileType::BlockDevice => {
                    return Err(PartialError::Device { path });
                }
                _ => {}
            }
        }
        // /dev/stderr and its like: the machine needs the link, whatever it leads to today.
        let link = readlinkat(&folder, name, Vec::new());
        if link.is_ok_and(|target| target.as_bytes().starts_with(b"/proc/")) {
            return Err(PartialError::Stream {
                path: path.to_path_buf(),
            });
        }
        match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                return Err(is_folder());
            }
            Ok(_) if !force => {
                return Err(PartialError::Exists {
                    path: path.to_path_buf(),
                });
            }
            _ => {}
        }
        if force {
            match unlinkat(&folder, partial_name, AtFlags::empty()) {
                Err(Errno::NOENT) | Ok(()) => {}
                Err(errno) => return Err(PartialError::io("removing", &partial, errno.into())),
            }
        }
        // O_EXCL does not follow links either; O_NOFOLLOW makes that explicit.
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            openat(&folder, partial_name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| {
                match errno {
                    Errno::EXIST => PartialError::Leftover {
                        path: partial.clone(),
                    },
                    _ => PartialError::io("creating", &partial, errno.into()),
                }
            })?;
        Ok(Self {
            file: file.into(),
            folder,
            partial,
            path: path.to_path_buf(),
            force,
            is_kept: false,
        })
    }

    /// Opens the file at `partial`, a working name in the same folder as `path`, that a run has
    /// left, to go on with it. Nothing at `path` will be replaced, and what was left once is not
    /// removed when it is dropped.
    ///
    /// # Errors
    /// If it cannot be opened, or is not a file of this user's with one name.
    pub fn resume(path: &Path, partial: PathBuf) -> Result<Self, PartialError> {
        let folder = open_folder(folder_of(path))?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&folder, name_of(&partial), flags, Mode::empty())
            .map_err(|errno| PartialError::io("opening", &partial, errno.into()))?;
        let found =
            fstat(&file).map_err(|errno| PartialError::io("opening", &partial, errno.into()))?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        let is_own = found.st_uid == rustix::process::geteuid().as_raw();
        if !is_file || !is_own || found.st_nlink != 1 {
            return Err(PartialError::Replaced { path: partial });
        }
        Ok(Self {
            file: file.into(),
            folder,
            partial,
            path: path.to_path_buf(),
            force: false,
            is_kept: true,
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
    /// If something of that name has appeared since, another file has the working name,
    /// or the disk failed. The file then keeps its working name: its bytes are good.
    pub fn commit(mut self) -> Result<(), PartialError> {
        self.is_kept = true;
        let (from, to) = (name_of(&self.partial), name_of(&self.path));
        self.require(&from, &self.partial)?;
        let renamed = if self.force {
            renameat(&self.folder, &from, &self.folder, &to)
        } else {
            rename_new(&self.folder, &from, &to)
        };
        renamed.map_err(|errno| match errno {
            Errno::EXIST => PartialError::Exists {
                path: self.path.clone(),
            },
            _ => PartialError::io("renaming to", &self.path, errno.into()),
        })?;
        // Between the look and the renaming, too.
        self.require(&to, &self.path)?;
        let in_folder = folder_of(&self.path);
        self.folder
            .sync_all()
            .map_err(|source| PartialError::io("syncing to disk", in_folder, source))?;
        self.require_place(in_folder)
    }

    /// That `name` in the folder is the file that was written.
    fn require(&self, name: &OsStr, path: &Path) -> Result<(), PartialError> {
        if self.has(name) {
            return Ok(());
        }
        Err(PartialError::Replaced {
            path: path.to_path_buf(),
        })
    }

    fn has(&self, name: &OsStr) -> bool {
        let own = fstat(&self.file);
        let found = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW);
        own.is_ok_and(|own| found.is_ok_and(|found| identity(&own) == identity(&found)))
    }

    /// That the folder is still where the user named it.
    fn require_place(&self, in_folder: &Path) -> Result<(), PartialError> {
        let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let is_there = match (self.folder.metadata(), fs::metadata(in_folder)) {
            (Ok(own), Ok(found)) => place(own) == place(found),
            _ => false,
        };
        if is_there {
            return Ok(());
        }
        let link = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        Err(PartialError::Moved {
            path: self.path.clone(),
            now: fs::read_link(link).unwrap_or_else(|_| PathBuf::from("an unknown folder")),
        })
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let name = name_of(&self.partial);
        if !self.is_kept && self.has(&name) {
            // If it cannot be removed, the next run reports it.
            let _ = unlinkat(&self.folder, &name, AtFlags::empty());
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

/// All names are looked up in it, whatever happens to its own.
fn open_folder(path: &Path) -> Result<File, PartialError> {
    OpenOptions::new()
        .read(true)
        .custom_flags(bits(OFlags::DIRECTORY | OFlags::CLOEXEC))
        .open(path)
        .map_err(|source| PartialError::io("opening the folder", path, source))
}

/// Whether the character device is a terminal: /dev/stdout may lead to one
/// (Documentation/admin-guide/devices.txt: 4 and 5 are consoles, 136 to 143 are ptys).
fn is_terminal(device: u64) -> bool {
    matches!(rustix::fs::major(device), 4 | 5 | 136..=143)
}

/// The last part of a path that [`PartialFile::create`] has accepted.
fn name_of(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn bits(flags: OFlags) -> i32 {
    // Every flag of open(2) is below 2^31.
    i32::try_from(flags.bits()).unwrap_or_default()
}

/// Renames without replacing anything.
fn rename_new(folder: &File, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
    match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // Some file systems (NFS, FUSE) lack the flag. A hard link does not replace
        // anything either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            match linkat(folder, from, folder, to, AtFlags::empty()) {
                Ok(()) => unlinkat(folder, from, AtFlags::empty()),
                Err(Errno::EXIST) => Err(Errno::EXIST),
                // And some lack those, so the name is looked at first.
                Err(_) => match statat(folder, to, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => renameat(folder, from, folder, to),
                    Err(errno) => Err(errno),
                    Ok(_) => Err(Errno::EXIST),
                },
            }
        }
        renamed => renamed,
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
    fn a_file_in_its_place_does_not_get_the_name() {
        let folder = tempfile::tempdir().unwrap();
        for force in [false, true] {
            let partial = create(folder.path(), force).unwrap();
            let own = folder.path().join("stolen");
            fs::rename(partial.partial(), &own).unwrap();
            fs::write(partial.partial(), b"forged").unwrap();
            let error = partial.commit().unwrap_err();
            assert!(matches!(error, PartialError::Replaced { .. }), "{error}");
            assert!(!folder.path().join("a").exists());
            let forged = fs::read(folder.path().join("a.partial")).unwrap();
            assert_eq!(forged, b"forged");
            fs::remove_file(folder.path().join("a.partial")).unwrap();
        }
        // Nor is it removed with a run that failed: it is not ours.
        let partial = create(folder.path(), false).unwrap();
        fs::remove_file(partial.partial()).unwrap();
        fs::write(partial.partial(), b"forged").unwrap();
        drop(partial);
        assert!(folder.path().join("a.partial").exists());
    }

    #[test]
    fn a_folder_that_is_exchanged_does_not_get_the_file() {
        let top = tempfile::tempdir().unwrap();
        let (folder, other) = (top.path().join("out"), top.path().join("other"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&other).unwrap();
        let partial = create(&folder, false).unwrap();
        fs::rename(&folder, top.path().join("old")).unwrap();
        symlink(&other, &folder).unwrap();
        let error = partial.commit().unwrap_err().to_string();
        assert!(error.contains("/old now"), "{error}");
        assert_eq!(other.read_dir().unwrap().count(), 0);
        assert!(top.path().join("old/a").exists());
    }

    #[test]
    fn pipes_and_devices_are_not_replaced_whatever_force_says() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a");
        let is_left = |what: &str| {
            for force in [false, true] {
                let error = create(folder.path(), force).unwrap_err().to_string();
                assert!(error.contains(what), "{error}");
                assert!(!error.contains("--force"), "{error}");
            }
            assert!(!fs::metadata(&name).unwrap().is_file());
            fs::remove_file(&name).unwrap();
        };
        rustix::fs::mknodat(rustix::fs::CWD, &name, FileType::Fifo, Mode::RUSR, 0).unwrap();
        is_left("a pipe");
        symlink("/dev/null", &name).unwrap();
        is_left("a device");
        // As /dev/stderr is, if stderr was redirected to a file.
        let file = tempfile::tempfile().unwrap();
        symlink(format!("/proc/self/fd/{}", file.as_raw_fd()), &name).unwrap();
        for force in [false, true] {
            let error = create(folder.path(), force).unwrap_err();
            assert!(matches!(error, PartialError::Stream { .. }), "{error}");
        }
        assert!(name.is_symlink());
        fs::remove_file(&name).unwrap();
        symlink("/dev/ptmx", &name).unwrap();
        is_left("a terminal");
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
