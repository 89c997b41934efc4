// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mounting and unmounting, by the kernel's own calls: the program is one static file and needs
//! no helper.

use crate::error::MountError;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const DEVICE: &str = "/dev/fuse";
/// What `mount` and `findmnt` show as the type.
const TYPE: &str = "fuse.linpmem";

/// A mounted file system.
#[derive(Debug)]
pub(crate) struct MountPoint {
    folder: PathBuf,
    /// The number of the file system.
    device: u64,
}

/// Checks that a file system can be mounted on `folder`; returns its path without links.
pub(crate) fn check(folder: &Path) -> Result<PathBuf, MountError> {
    let failed = |source| MountError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let whole = folder.canonicalize().map_err(failed)?;
    if !fs::metadata(&whole).map_err(failed)?.is_dir() {
        return Err(MountError::NotFolder(folder.to_owned()));
    }
    match fs::read_dir(&whole).map_err(failed)?.next() {
        None => Ok(whole),
        Some(_) => Err(MountError::NotEmpty(folder.to_owned())),
    }
}

/// Mounts on `folder`, which was checked; `shown` is what lists of mounts show. Requests come out
/// of the file that is returned.
pub(crate) fn attach(folder: &Path, shown: &str) -> Result<OwnedFd, MountError> {
    let device = open()?;
    let options = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    let failed = |source| MountError::Mount {
        folder: folder.to_owned(),
        source,
    };
    let options = CString::new(options).map_err(|error| failed(error.into()))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount(shown, folder, TYPE, flags, options.as_c_str()) {
        Ok(()) => Ok(device.into()),
        Err(Errno::PERM | Errno::ACCESS) => Err(MountError::NotPermitted(folder.to_owned())),
        Err(errno) => Err(failed(errno.into())),
    }
}

fn open() -> Result<File, MountError> {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    opened.map_err(
        |source| match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => MountError::NoDevice(DEVICE),
            _ => MountError::Device {
                device: DEVICE,
                source,
            },
        },
    )
}

/// Unmounts what nobody answers for.
pub(crate) fn abandon(folder: &Path) {
    // There is nobody to tell either: the error that led here is told.
    let _ = unmount(folder, UnmountFlags::DETACH);
}

impl MountPoint {
    /// That on `folder`, whose requests are answered.
    pub(crate) fn new(folder: PathBuf) -> io::Result<Self> {
        let device = fs::metadata(&folder)?.dev();
        Ok(Self { folder, device })
    }

    /// Takes the file system out of sight; what is still open there fails when the program ends.
    pub(crate) fn detach(&self) -> Result<(), MountError> {
        let failed = |source| MountError::Unmount {
            folder: self.folder.clone(),
            source,
        };
        let device = fs::metadata(&self.folder).map_err(failed)?.dev();
        if device != self.device {
            return Err(MountError::Covered(self.folder.clone()));
        }
        unmount(&self.folder, UnmountFlags::DETACH).map_err(|errno| failed(errno.into()))
    }
}
