// SPDX-License-Identifier: MIT OR Apache-2.0
//! The open device.

use crate::dialect::{Dialect, is_registered_as_linpmem};
use crate::module::{self, state};
use crate::node::DEFAULT_PATH;
use crate::{Info, InfoError, OpenError, sys};
use linpmem_core::abi;
use linpmem_phys::PhysAddr;
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The most address bits that an x86-64 processor can have.
const MAX_PHYS_BITS: u32 = 52;

/// The open device of the linpmem module. Threads may share it.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    dialect: Dialect,
    phys_bits: u32,
}

impl Device {
    /// Opens [`DEFAULT_PATH`] and identifies the module behind it.
    ///
    /// # Errors
    /// See [`OpenError`]: each says what to do.
    pub fn open() -> Result<Self, OpenError> {
        Self::open_path(Path::new(DEFAULT_PATH))
    }

    /// Opens the device at `path` and identifies the module behind it.
    ///
    /// # Errors
    /// See [`OpenError`]: each says what to do.
    pub fn open_path(path: &Path) -> Result<Self, OpenError> {
        let (file, number) = open_file(path)?;
        let path = path.to_path_buf();
        match sys::ask(file.as_fd(), abi::Info::default()) {
            Ok(info) => Ok(Self {
                file,
                path,
                dialect: Dialect::Linpmem,
                phys_bits: info.phys_bits.min(MAX_PHYS_BITS),
            }),
            // The original answers unknown requests with ENOSYS, others with ENOTTY.
            Err(Errno::NOTTY | Errno::NOSYS | Errno::INVAL) => {
                let devices = fs::read_to_string("/proc/devices").unwrap_or_default();
                if !is_registered_as_linpmem(&devices, number) {
                    return Err(OpenError::NotLinpmem { path });
                }
                Ok(Self {
                    file,
                    path,
                    dialect: Dialect::Original,
                    phys_bits: MAX_PHYS_BITS,
                })
            }
            Err(errno) => Err(open_error(path, errno.into())),
        }
    }

    /// Opens the device at `path` and uses `dialect`, whatever else the module
    /// supports: this project's module also serves the original's clients.
    ///
    /// # Errors
    /// If it cannot be opened. Whether the module supports the dialect shows at the
    /// first request.
    pub fn open_as(path: &Path, dialect: Dialect) -> Result<Self, OpenError> {
        let (file, _) = open_file(path)?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            dialect,
            phys_bits: MAX_PHYS_BITS,
        })
    }

    /// The path that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The dialect that the module speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What the module says about itself and the machine.
    ///
    /// # Errors
    /// If the module refused, is not linpmem's, or is the original, which has no such
    /// request.
    pub fn info(&self) -> Result<Info, InfoError> {
        if self.dialect == Dialect::Original {
            return Err(InfoError::Unsupported);
        }
        match sys::ask(self.fd(), abi::Info::default()) {
            Ok(raw) => Info::from_abi(&raw),
            Err(Errno::NOTTY | Errno::INVAL | Errno::NOSYS) => Err(InfoError::NotLinpmem),
            Err(errno) => Err(InfoError::Failed(errno.into())),
        }
    }

    /// The first address beyond those of the processor, or of any x86-64 processor
    /// if this one's width is unknown.
    pub(crate) fn address_end(&self) -> PhysAddr {
        // No more than MAX_PHYS_BITS.
        PhysAddr::new(1 << self.phys_bits)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The open file and its device number.
fn open_file(path: &Path) -> Result<(File, u64), OpenError> {
    let opened = OpenOptions::new()
        .read(true)
        // Whatever else is at that path must not block: a FIFO would wait for a
        // writer, and a terminal would become the controlling one.
        .custom_flags(open_flags())
        .open(path);
    let path = path.to_path_buf();
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Err(open_error(path, error)),
    };
    match file.metadata() {
        Ok(metadata) if metadata.file_type().is_char_device() => Ok((file, metadata.rdev())),
        Ok(_) => Err(OpenError::NotADevice { path }),
        Err(source) => Err(OpenError::Other { path, source }),
    }
}

/// The same bits; open(2) takes them as an `int`.
fn open_flags() -> i32 {
    use rustix::fs::OFlags;
    let flags = OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    i32::from_ne_bytes(flags.bits().to_ne_bytes())
}

fn open_error(path: PathBuf, source: std::io::Error) -> OpenError {
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT) if module::is_loaded() => OpenError::NoNode {
            path,
            hint: state::node_hint(),
        },
        Some(Errno::NODEV | Errno::NXIO) => OpenError::DeadNode { path },
        Some(Errno::NOENT) => OpenError::NotLoaded { path },
        Some(Errno::ACCESS) => OpenError::NoPermission { path },
        Some(Errno::PERM) => OpenError::Refused {
            path,
            lockdown: state::lockdown(),
        },
        _ => OpenError::Other { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_device_is_refused_with_its_path() {
        let missing = Device::open_path(Path::new("/nonexistent/linpmem")).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/linpmem"));
        assert_eq!(missing.errno(), linpmem_phys::Errno::ENOENT);
        let file = Device::open_path(Path::new("/proc/self/status")).unwrap_err();
        assert!(matches!(file, OpenError::NotADevice { .. }));
    }

    #[test]
    fn another_drivers_device_is_recognized() {
        let null = Device::open_path(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(null, OpenError::NotLinpmem { .. }));
        assert!(null.to_string().contains("/dev/null"));
    }

    #[test]
    fn the_original_does_not_describe_itself() {
        let original = Device::open_as(Path::new("/dev/null"), Dialect::Original).unwrap();
        assert!(matches!(original.info(), Err(InfoError::Unsupported)));
    }
}
