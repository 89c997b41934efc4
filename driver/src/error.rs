// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with the device and with a request.

use crate::{Architecture, machine};
use linpmem_phys::{Errno, PhysAddr};
use std::io;
use std::path::PathBuf;

/// The device could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Neither the file nor the module exists.
    #[error("{path} does not exist: load the module first (insmod linpmem.ko)")]
    NotLoaded {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The module is loaded, but its device node is missing.
    #[error("{path} does not exist although the module is loaded: {hint}")]
    NoNode {
        /// The path that was tried.
        path: PathBuf,
        /// How to create the node.
        hint: String,
    },
    /// The node exists, but no module is behind it.
    #[error(
        "{path} exists, but no module answers: the node is left over; load the module (insmod \
         linpmem.ko)"
    )]
    DeadNode {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The caller may not open the file.
    #[error("only root may open {path}, and only with CAP_SYS_RAWIO: run this as root")]
    NoPermission {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The module refused: lockdown, or a capability that even root lacks here.
    #[error(
        "the linpmem module refused to open {path}: kernel lockdown is {lockdown}; reading memory \
         needs lockdown off and CAP_SYS_RAWIO (containers often lack it)"
    )]
    Refused {
        /// The path that was tried.
        path: PathBuf,
        /// What /sys/kernel/security/lockdown says.
        lockdown: String,
    },
    /// The file exists, but is not a character device.
    #[error("{path} is not a character device: it cannot be the linpmem module's")]
    NotADevice {
        /// The path that was tried.
        path: PathBuf,
    },
    /// It is another driver's device.
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

/// The module did not describe itself and the machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// The device does not know the request.
    #[error("the device does not answer as the linpmem module does")]
    NotLinpmem,
    /// The original's module has no such request.
    #[error("the module is the original Linpmem, which does not describe itself or the machine")]
    Unsupported,
    /// The answer cannot be true.
    #[error(
        "the module claims {phys_bits} address bits and {paging_levels} paging levels, which no \
         {architecture} machine has: it is damaged, or not the linpmem module"
    )]
    Implausible {
        /// The machine's architecture.
        architecture: Architecture,
        /// Bits of a physical address.
        phys_bits: u32,
        /// Levels of the page tables.
        paging_levels: u32,
    },
    /// The module is newer than this library.
    #[error(
        "the module is for an architecture (number {0}) that this program does not know: use the \
         program that came with the module"
    )]
    UnknownArchitecture(u32),
    /// The module refused.
    #[error("the module did not describe itself: {0}")]
    Failed(#[source] io::Error),
}

/// The module refused a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A physical address could not be read.
    #[error("{addr} cannot be read: {}", reason(*.errno))]
    Read {
        /// The requested address, or the first that failed.
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
    #[error("process {pid} has no page table: {}", process_reason(*.errno))]
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
    /// The module is the original's, or an old one, and cannot do this.
    #[error("the loaded module cannot {what}: it is the original Linpmem's, or an old one")]
    Unsupported {
        /// What was requested.
        what: &'static str,
    },
}

impl OpenError {
    /// The error as a number, for callers that handle nothing else.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::NotLoaded { .. } | Self::NoNode { .. } => Errno::ENOENT,
            Self::DeadNode { .. } => Errno::ENODEV,
            Self::NoPermission { .. } => Errno::EACCES,
            Self::Refused { .. } => Errno::EPERM,
            Self::NotADevice { .. } | Self::NotLinpmem { .. } => Errno::ENOTTY,
            Self::Other { source, .. } => of_io(source),
        }
    }
}

impl InfoError {
    /// The error as a number, for callers that handle nothing else.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::NotLinpmem => Errno::ENOTTY,
            Self::Unsupported => Errno::EOPNOTSUPP,
            Self::Implausible { .. } | Self::UnknownArchitecture(_) => Errno::EIO,
            Self::Failed(source) => of_io(source),
        }
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
            Self::Unsupported { .. } => Errno::EOPNOTSUPP,
        }
    }

    /// The physical address that the error is about, if there is one.
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
        let kind = io::Error::from(error.errno()).kind();
        io::Error::new(kind, error)
    }
}

/// The system's error number; `EIO` if the error did not come from the system.
pub(crate) fn of_io(error: &io::Error) -> Errno {
    Errno::from_io(error).unwrap_or(Errno::EIO)
}

/// rustix's error number as the vocabulary's.
pub(crate) fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::new(errno.raw_os_error())
}

fn reason(errno: Errno) -> String {
    match errno.meaning().or(errno.text()) {
        Some(meaning) => format!("{errno} ({meaning})"),
        None => errno.to_string(),
    }
}

fn process_reason(errno: Errno) -> String {
    match errno {
        Errno::ESRCH => "it does not exist, has ended, or is a kernel thread".to_owned(),
        _ => reason(errno),
    }
}

fn access_reason(errno: Errno) -> String {
    match errno {
        Errno::EACCES if machine::is_arm64() => {
            "on arm64 the module reads no device memory".to_owned()
        }
        Errno::EACCES => "device memory needs a module loaded with allow_device=1".to_owned(),
        Errno::EINVAL => "the bits contradict each other".to_owned(),
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
            errno: Errno::EACCES,
        }
        .into();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("0xb8000"), "{error}");
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<RequestError>())
            .unwrap();
        assert_eq!(inner.errno(), Errno::EACCES);
        assert_eq!(inner.addr(), Some(PhysAddr::new(0xb_8000)));
    }

    #[test]
    fn reasons_name_the_number_and_explain_it() {
        let said = |errno| {
            let addr = PhysAddr::new(0x1000);
            RequestError::Read { addr, errno }.to_string()
        };
        let right = "0x1000 cannot be read: EHWPOISON (the hardware reported the page as faulty)";
        assert_eq!(said(Errno::EHWPOISON), right);
        let right = "0x1000 cannot be read: EINVAL (invalid argument)";
        assert_eq!(said(Errno::EINVAL), right);
        let right = "0x1000 cannot be read: errno 4000";
        assert_eq!(said(Errno::new(4000)), right);
    }
}
