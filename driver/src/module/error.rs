// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the module could not be loaded or unloaded, and what to do about it.

use super::file::ModuleFile;
use super::state;
use crate::error;
use linpmem_phys::{Errno, hex};
use rustix::io::Errno as Raw;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The module could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The module file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not a module.
    #[error("{path} is not a kernel module: {what}")]
    NotAModule {
        /// The module file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The parameters cannot be passed to the kernel.
    #[error("the module's parameters `{0}` contain a zero byte")]
    Parameters(String),
    /// The caller may not load modules.
    #[error("the kernel does not let this process load modules: {why}")]
    NotPermitted {
        /// The rule that forbids it, and what to do.
        why: String,
    },
    /// The module's signature is missing, damaged, or made with a key that the kernel
    /// does not trust.
    #[error(
        "the kernel refused the signature of {path} ({errno}; Secure Boot {secure_boot}, \
         enforcement {enforced}): sign the module with a key that this machine trusts \
         (the kernel's scripts/sign-file; enroll the key with mokutil --import), or boot \
         without Secure Boot"
    )]
    Signature {
        /// The module file.
        path: PathBuf,
        /// The kernel's reason.
        errno: Errno,
        /// `on` or `off`.
        secure_boot: &'static str,
        /// `on` or `off`.
        enforced: &'static str,
    },
    /// It was built for another kernel.
    #[error(
        "{path} was built for kernel {built_for}, but this machine runs {running}: build \
         linpmem.ko for {running}, or have it fitted (`pmem insmod` without a file)"
    )]
    WrongKernel {
        /// The module file.
        path: PathBuf,
        /// The release in the module's vermagic.
        built_for: String,
        /// The running release.
        running: String,
    },
    /// It was built for the running release, and yet the kernel cannot use it.
    #[error(
        "the kernel {running} cannot use {path} ({errno}): the module was built with other \
         options or for another build of that release; `dmesg` names the symbol"
    )]
    Mismatch {
        /// The module file.
        path: PathBuf,
        /// The running release.
        running: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// A module of that name is loaded.
    #[error("a module called linpmem is loaded already: unload it first (rmmod linpmem)")]
    AlreadyLoaded,
    /// Its device number is taken, or the module is just being loaded or unloaded.
    #[error(
        "the module could not register its device (EBUSY): {what} is taken by another driver \
         (/proc/devices names it), or linpmem is being loaded or unloaded at this moment"
    )]
    Busy {
        /// The requested device number.
        what: String,
    },
    /// The kernel or the module refused the parameters.
    #[error("the parameters `{parameters}` were refused ({errno}); `dmesg` says which")]
    BadParameters {
        /// The parameters.
        parameters: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// Neither the kernel nor this library can decompress it.
    #[error("{path} cannot be decompressed ({why}): decompress it with xz -d, zstd -d or gzip -d")]
    Compression {
        /// The module file.
        path: PathBuf,
        /// What failed.
        why: String,
    },
    /// Loaded, but without a device node.
    #[error("the module is loaded, but {node} did not appear within {waited:?}: {hint}")]
    NoNode {
        /// The expected node.
        node: PathBuf,
        /// How long this program waited for it.
        waited: Duration,
        /// What to do.
        hint: String,
    },
    /// Anything else.
    #[error("loading {path} failed: {source}; see `dmesg` for details")]
    Other {
        /// The module file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// The module could not be unloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnloadError {
    /// It is not loaded.
    #[error("no module called linpmem is loaded")]
    NotLoaded,
    /// A process has the device open.
    #[error("linpmem is in use{}: stop that process, then try again", by(.holders))]
    InUse {
        /// The processes that have the node open, as `PID (NAME)`.
        holders: Vec<String>,
    },
    /// The caller may not unload modules.
    #[error("the kernel does not let this process unload modules: {why}")]
    NotPermitted {
        /// The rule that forbids it, and what to do.
        why: String,
    },
    /// Anything else.
    #[error("unloading linpmem failed: {0}; see `dmesg` for details")]
    Other(#[source] io::Error),
}

impl LoadError {
    /// What the kernel's `errno` means for this module.
    pub(super) fn explain(errno: Raw, file: &ModuleFile, path: &Path, parameters: &str) -> Self {
        let path = path.to_path_buf();
        let running = state::release();
        let number = error::errno(errno);
        match errno {
            Raw::PERM => Self::NotPermitted {
                why: permission(true),
            },
            Raw::KEYREJECTED | Raw::NOKEY | Raw::KEYEXPIRED | Raw::KEYREVOKED | Raw::BADMSG => {
                let on = |is| if is { "on" } else { "off" };
                Self::Signature {
                    path,
                    errno: number,
                    secure_boot: on(state::secure_boot()),
                    enforced: on(state::signatures_enforced()),
                }
            }
            Raw::EXIST => Self::AlreadyLoaded,
            Raw::BUSY => Self::Busy {
                what: match major(parameters) {
                    Some(major) => format!("device number {major}"),
                    None => "its device number".to_owned(),
                },
            },
            Raw::NOEXEC | Raw::NOENT | Raw::INVAL => match file.release() {
                Some(built_for) if built_for != running => Self::WrongKernel {
                    path,
                    built_for: built_for.to_owned(),
                    running,
                },
                Some(_) if errno != Raw::NOEXEC && !parameters.is_empty() => Self::BadParameters {
                    parameters: parameters.to_owned(),
                    errno: number,
                },
                Some(_) => Self::Mismatch {
                    path,
                    running,
                    errno: number,
                },
                None => Self::NotAModule {
                    path,
                    what: "it has no vermagic".to_owned(),
                },
            },
            errno => Self::Other {
                path,
                source: errno.into(),
            },
        }
    }

    /// The error as a number, for callers that handle nothing else.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::File { source, .. } | Self::Other { source, .. } => error::of_io(source),
            Self::NotAModule { .. } | Self::WrongKernel { .. } => Errno::ENOEXEC,
            Self::Parameters(_) => Errno::EINVAL,
            Self::NotPermitted { .. } => Errno::EPERM,
            Self::Signature { errno, .. }
            | Self::Mismatch { errno, .. }
            | Self::BadParameters { errno, .. } => *errno,
            Self::AlreadyLoaded => Errno::EEXIST,
            Self::Busy { .. } => Errno::EBUSY,
            Self::Compression { .. } => Errno::EOPNOTSUPP,
            Self::NoNode { .. } => Errno::ENODEV,
        }
    }
}

impl UnloadError {
    /// What the kernel's `errno` means.
    pub(super) fn explain(errno: Raw, node: &Path) -> Self {
        match errno {
            Raw::NOENT => Self::NotLoaded,
            Raw::AGAIN | Raw::BUSY => Self::InUse {
                holders: state::holders(node),
            },
            Raw::PERM => Self::NotPermitted {
                why: permission(false),
            },
            errno => Self::Other(errno.into()),
        }
    }

    /// The error as a number, for callers that handle nothing else.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::NotLoaded => Errno::ENOENT,
            Self::InUse { .. } => Errno::EBUSY,
            Self::NotPermitted { .. } => Errno::EPERM,
            Self::Other(source) => error::of_io(source),
        }
    }
}

/// The value of `major=` in `parameters`.
pub(super) fn major(parameters: &str) -> Option<u32> {
    let words = parameters.split_whitespace().rev();
    let text = words
        .filter_map(|word| word.strip_prefix("major="))
        .next()?;
    match hex::parse_prefixed_u64(text) {
        Some(number) => u32::try_from(number).ok(),
        None => text.parse().ok(),
    }
}

/// The likely reason for EPERM, by the state of the system.
fn permission(loading: bool) -> String {
    let lockdown = state::lockdown();
    if !rustix::process::geteuid().is_root() {
        "only root may do it: run this as root".to_owned()
    } else if state::modules_disabled() {
        "kernel.modules_disabled is 1, and stays 1 until the next boot".to_owned()
    } else if loading && lockdown != "none" && lockdown != "unknown" {
        format!(
            "kernel lockdown is {lockdown}: it refuses unsigned modules, and lets no module read \
             memory; boot without lockdown, or acquire the memory from the hypervisor"
        )
    } else {
        "CAP_SYS_MODULE is missing (containers often lack it)".to_owned()
    }
}

fn by(holders: &[String]) -> String {
    match holders {
        [] => String::new(),
        holders => format!(" by {}", holders.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_major_counts_as_it_does_in_the_kernel() {
        assert_eq!(major("major=42"), Some(42));
        assert_eq!(major("owner_uid=5 major=0x2a"), Some(42));
        assert_eq!(major("major=1 major=7"), Some(7));
        assert_eq!(major("allow_device=1"), None);
    }

    #[test]
    fn numbers_become_reasons() {
        let file = ModuleFile::from_bytes(b"\x7fELF\0vermagic=1.2.3-old SMP\0".to_vec());
        let path = Path::new("/x/linpmem.ko");
        let explain = |errno, parameters: &str| LoadError::explain(errno, &file, path, parameters);
        let text = explain(Raw::NOEXEC, "").to_string();
        assert!(text.contains("built for kernel 1.2.3-old"), "{text}");
        assert!(matches!(explain(Raw::EXIST, ""), LoadError::AlreadyLoaded));
        let text = explain(Raw::BUSY, "major=42").to_string();
        assert!(text.contains("device number 42"), "{text}");
        let refused = explain(Raw::KEYREJECTED, "");
        assert_eq!(refused.errno(), Errno::EKEYREJECTED);
        assert!(refused.to_string().contains("mokutil"));
        let none = ModuleFile::from_bytes(b"text".to_vec());
        let error = LoadError::explain(Raw::NOEXEC, &none, path, "");
        assert!(matches!(error, LoadError::NotAModule { .. }));
    }
}
