// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong before a byte is read.

use linpmem_phys::Errno;
use std::io;
use std::path::PathBuf;

/// The device could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file.
    #[error("{path} is not there: load the module first (insmod linpmem.ko)")]
    NotLoaded {
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
#[error("the module refused to {verb} {subject:#x}: {}", refusal(*.errno))]
pub struct RequestError {
    verb: &'static str,
    subject: u64,
    errno: Errno,
}

impl RequestError {
    pub(crate) fn new(verb: &'static str, subject: u64, errno: rustix::io::Errno) -> Self {
        Self {
            verb,
            subject,
            errno: Errno::new(errno.raw_os_error()),
        }
    }

    /// The kernel's reason.
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

fn refusal(errno: Errno) -> String {
    match errno.meaning() {
        Some(meaning) => format!("{errno} ({meaning})"),
        None => io::Error::from_raw_os_error(errno.get()).to_string(),
    }
}
