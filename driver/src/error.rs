// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with the device and with a request.

use linpmem_phys::{Errno, PhysAddr};
use std::io;
use std::path::PathBuf;

/// The device could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file, and no module.
    #[error("{path} is not there: load the module first (insmod linpmem.ko)")]
    NotLoaded {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The module is loaded, but nobody made the node.
    #[error("{path} is not there, though the module is loaded: {hint}")]
    NoNode {
        /// The path that was tried.
        path: PathBuf,
        /// How to make the node.
        hint: String,
    },
    /// The node is there, and no module behind it.
    #[error(
        "{path} is there, but no module answers: it is left over; load the module (insmod linpmem.ko)"
    )]
    DeadNode {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The caller may not open the file.
    #[error("{path} may be opened by root only, with CAP_SYS_RAWIO: run this as root")]
    NoPermission {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The module refused: lockdown, or a capability that even root lacks here.
    #[error(
        "the linpmem module refused to open {path}: kernel lockdown is {lockdown}, and reading \
         memory needs it off and CAP_SYS_RAWIO (containers often lack it)"
    )]
    Refused {
        /// The path that was tried.
        path: PathBuf,
        /// What /sys/kernel/security/lockdown says.
        lockdown: String,
    },
    /// The file is there, but it is no character device.
    #[error("{path} is not a character device: it cannot be the linpmem module's")]
    NotADevice {
        /// The path that was tried.
        path: PathBuf,
    },
    /// It is a device, but another's.
    #[error("{path} is a device, but does not answer as the linpmem module does")]
    NotLinpmem {
        /// The path that was tried.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{path} cannot be opened: {source}")]
    Other {
        /// The path that was tried.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The module did not tell what it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// The device does not know the question.
    #[error("the device does not answer as the linpmem module does")]
    NotLinpmem,
    /// The original's module has no such request.
    #[error("the module is the original Linpmem, which tells nothing of itself or the machine")]
    Unsupported,
    /// The answer cannot be true.
    #[error(
        "the module claims {phys_bits} address bits and {paging_levels} paging levels, which no \
         x86-64 machine has: it is damaged, or not the linpmem module"
    )]
    Senseless {
        /// Bits of a physical address.
        phys_bits: u32,
        /// Levels of the page tables.
        paging_levels: u32,
    },
    /// The module refused.
    #[error("asking the module for its facts failed: {0}")]
    Failed(#[source] io::Error),
}

/// The module refused a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A physical address could not be read.
    #[error("{addr} cannot be read: {}", reason(*.errno))]
    Read {
        /// The address that was asked for, or the first that failed.
        addr: PhysAddr,
        /// The kernel's reason.
        errno: Errno,
    },
    /// A virtual address could not be looked up.
    #[error("the virtual address {virt:#x} cannot be translated: {}", reason(*.errno))]
    Translate {
        /// The address.
        virt: u64,
        /// The kernel's reason; `EINVAL` where it is not canonical.
        errno: Errno,
    },
    /// A process's page table could not be found.
    #[error("there is no page table of process {pid}: {}", process_reason(*.errno))]
    Process {
        /// The process.
        pid: u32,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The module does not grant that access.
    #[error("the module does not grant the access {access:#x}: {}", access_reason(*.errno))]
    Access {
        /// The `ACCESS_*` bits.
        access: u32,
        /// `EACCES` where it was not loaded with `allow_device=1`.
        errno: Errno,
    },
    /// The module is too old for that, or the original.
    #[error("the loaded module cannot {what}: it is the original Linpmem's, or an old one")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
}

const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENODEV: i32 = 19;
const ENOENT: i32 = 2;
const ENOTTY: i32 = 25;
const EOPNOTSUPP: i32 = 95;
const EPERM: i32 = 1;
const ESRCH: i32 = 3;

impl OpenError {
    /// The error as a number, for callers that know nothing else.
    #[must_use]
    pub fn errno(&self) -> Errno {
        Errno::new(match self {
            Self::NotLoaded { .. } | Self::NoNode { .. } => ENOENT,
            Self::DeadNode { .. } => ENODEV,
            Self::NoPermission { .. } => EACCES,
            Self::Refused { .. } => EPERM,
            Self::NotADevice { .. } | Self::NotLinpmem { .. } => ENOTTY,
            Self::Other { source, .. } => number(source),
        })
    }
}

impl InfoError {
    /// The error as a number, for callers that know nothing else.
    #[must_use]
    pub fn errno(&self) -> Errno {
        Errno::new(match self {
            Self::NotLinpmem => ENOTTY,
            Self::Unsupported => EOPNOTSUPP,
            Self::Senseless { .. } => Errno::EIO.get(),
            Self::Failed(source) => number(source),
        })
    }
}

impl RequestError {
    /// The kernel's reason; `EOPNOTSUPP` for what the module cannot do.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::Read { errno, .. }
            | Self::Translate { errno, .. }
            | Self::Process { errno, .. }
            | Self::Access { errno, .. } => *errno,
            Self::Unsupported { .. } => Errno::new(EOPNOTSUPP),
        }
    }

    /// The physical address that it is about, if it is about one.
    #[must_use]
    pub fn addr(&self) -> Option<PhysAddr> {
        match self {
            Self::Read { addr, .. } => Some(*addr),
            _ => None,
        }
    }
}

impl From<RequestError> for io::Error {
    /// Keeps the kind that the error number has, and the error itself.
    fn from(error: RequestError) -> Self {
        let kind = io::Error::from_raw_os_error(error.errno().get()).kind();
        io::Error::new(kind, error)
    }
}

/// The system's error number, or `EIO` where there is none.
pub(crate) fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::EIO.get())
}

/// Ours, of rustix's.
pub(crate) fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::new(errno.raw_os_error())
}

fn reason(errno: Errno) -> String {
    match errno.meaning() {
        Some(meaning) => format!("{errno} ({meaning})"),
        None => io::Error::from_raw_os_error(errno.get()).to_string(),
    }
}

fn process_reason(errno: Errno) -> String {
    match errno.get() {
        ESRCH => "it is not there, has ended, or is a kernel thread".to_owned(),
        _ => reason(errno),
    }
}

fn access_reason(errno: Errno) -> String {
    match errno.get() {
        EACCES => "device memory needs a module loaded with allow_device=1".to_owned(),
        EINVAL => "the bits contradict each other".to_owned(),
        _ => reason(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_error_keeps_its_number_and_address_through_io() {
        let error: io::Error = RequestError::Read {
            addr: PhysAddr::new(0xb_8000),
            errno: Errno::new(EACCES),
        }
        .into();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("0xb8000"), "{error}");
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<RequestError>())
            .unwrap();
        assert_eq!(inner.errno().get(), EACCES);
        assert_eq!(inner.addr(), Some(PhysAddr::new(0xb_8000)));
    }
}
