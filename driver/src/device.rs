// SPDX-License-Identifier: MIT OR Apache-2.0
//! The open device.

use crate::{Info, InfoError, OpenError, sys};
use linpmem_core::abi;
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where the module's device appears.
pub const DEFAULT_PATH: &str = "/dev/linpmem";

/// The linpmem module, open for reading.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
}

impl Device {
    /// Opens [`DEFAULT_PATH`].
    ///
    /// # Errors
    /// See [`OpenError`]: each says what to do.
    pub fn open() -> Result<Self, OpenError> {
        Self::open_path(Path::new(DEFAULT_PATH))
    }

    /// Opens the device at `path`.
    ///
    /// # Errors
    /// See [`OpenError`]: each says what to do.
    pub fn open_path(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_path_buf();
        let opened = OpenOptions::new()
            .read(true)
            // Whatever else lies at that path must not stop us: a FIFO would
            // wait for a writer, a terminal would become ours.
            .custom_flags(open_flags())
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) => return Err(open_error(path, error)),
        };
        match file.metadata() {
            Ok(metadata) if metadata.file_type().is_char_device() => Ok(Self { file, path }),
            Ok(_) => Err(OpenError::NotADevice { path }),
            Err(source) => Err(OpenError::Other { path, source }),
        }
    }

    /// The path that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the module tells of itself and of the machine.
    ///
    /// # Errors
    /// If the device is not linpmem's, or the module refused.
    pub fn info(&self) -> Result<Info, InfoError> {
        match sys::ask(self.fd(), abi::Info::default()) {
            Ok(raw) => Info::from_abi(&raw),
            Err(Errno::NOTTY | Errno::INVAL | Errno::NOSYS) => Err(InfoError::NotLinpmem),
            Err(errno) => Err(InfoError::Failed(errno.into())),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open_flags() -> i32 {
    use rustix::fs::OFlags;
    let flags = OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    i32::try_from(flags.bits()).unwrap_or_default()
}

fn open_error(path: PathBuf, source: std::io::Error) -> OpenError {
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => OpenError::NotLoaded { path },
        Some(Errno::ACCESS) => OpenError::NoPermission { path },
        Some(Errno::PERM) => OpenError::Refused {
            path,
            lockdown: lockdown(),
        },
        _ => OpenError::Other { path, source },
    }
}

/// The mode in brackets in `none [integrity] confidentiality`.
fn lockdown() -> String {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let mode = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    mode.map_or("unknown", |(mode, _)| mode).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_is_refused_with_its_path() {
        let missing = Device::open_path(Path::new("/nonexistent/linpmem")).unwrap_err();
        assert!(matches!(missing, OpenError::NotLoaded { .. }));
        assert!(missing.to_string().contains("/nonexistent/linpmem"));
        let file = Device::open_path(Path::new("/proc/self/status")).unwrap_err();
        assert!(matches!(file, OpenError::NotADevice { .. }));
    }

    #[test]
    fn another_device_is_told_from_ours() {
        let null = Device::open_path(Path::new("/dev/null")).unwrap();
        assert!(matches!(null.info(), Err(InfoError::NotLinpmem)));
    }
}
