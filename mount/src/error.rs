// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an image cannot be mounted.

use std::io;
use std::path::PathBuf;

/// Why an image cannot be mounted, or cannot be unmounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum MountError {
    /// There is no such folder, or it cannot be looked into.
    #[error("{folder}: {source}; the image is mounted on an empty folder that exists")]
    Folder { folder: PathBuf, source: io::Error },
    /// It is a file.
    #[error("{0} is not a folder; the image is mounted on an empty folder")]
    NotFolder(PathBuf),
    /// There is something in it, which would be out of sight.
    #[error("{0} is not empty, and what is in it would be out of sight: name an empty folder")]
    NotEmpty(PathBuf),
    /// The kernel has no FUSE, or this is a container without its device.
    #[error("{0} does not exist: load the kernel's module (modprobe fuse), or leave the container")]
    NoDevice(&'static str),
    /// The device cannot be opened.
    #[error("{device}: {source}")]
    Device {
        device: &'static str,
        source: io::Error,
    },
    /// Only root may mount.
    #[error(
        "mounting on {0} is not permitted: run this as root, or in namespaces of your own, where \
         only what is started there sees the folder (unshare --user --map-root-user --mount bash)"
    )]
    NotPermitted(PathBuf),
    /// The kernel refuses.
    #[error("cannot mount on {folder}: {source}")]
    Mount { folder: PathBuf, source: io::Error },
    /// The kernel and this program do not understand each other.
    #[error("the kernel does not answer for the mount on {folder}: {source}")]
    Session { folder: PathBuf, source: io::Error },
    /// Something else was mounted over it.
    #[error("{0} shows another file system by now: unmount that, and then this one")]
    Covered(PathBuf),
    /// The kernel does not unmount it.
    #[error("cannot unmount {folder}: {source}; `umount -l` takes it out of sight")]
    Unmount { folder: PathBuf, source: io::Error },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}
