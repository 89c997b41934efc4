// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a source cannot be opened, and what to do about it.

use rustix::io::Errno;
use std::fmt;
use std::fs;
use std::io;

/// The state of this machine that decides whether its memory can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccessDiagnosis {
    /// `none`, `integrity` or `confidentiality`; `unknown` without securityfs.
    lockdown: String,
    is_secure_boot: bool,
    is_root: bool,
    /// Whether a panic starts a crash kernel.
    has_crash_kernel: bool,
}

/// What a source needs besides root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Lockdown off: /dev/mem and the modules.
    NoLockdown,
    /// Lockdown not at `confidentiality`: /proc/kcore.
    NoConfidentiality,
}

impl AccessDiagnosis {
    pub(super) fn of_this_machine() -> Self {
        let text = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
        let mode = text
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'));
        Self {
            lockdown: mode.map_or("unknown", |(mode, _)| mode).to_owned(),
            is_secure_boot: is_secure_boot(),
            is_root: rustix::process::geteuid().is_root(),
            has_crash_kernel: fs::read("/sys/kernel/kexec_crash_loaded")
                .is_ok_and(|text| text.starts_with(b"1")),
        }
    }

    /// Why `path` could not be opened. `absent` says why it may not exist.
    pub(super) fn reason(
        &self,
        path: &str,
        error: &io::Error,
        needs: Needs,
        absent: &str,
    ) -> String {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NXIO | Errno::NODEV) => {
                format!("{path} does not exist: {absent}")
            }
            Some(Errno::ACCESS | Errno::PERM) if !self.is_root => {
                format!("{path} can be opened by root only")
            }
            Some(Errno::PERM) if self.is_locked_for(needs) => format!(
                "{path} is blocked by kernel lockdown ({} mode)",
                self.lockdown
            ),
            Some(Errno::ACCESS | Errno::PERM) => format!(
                "{path} may not be opened by this process: it lacks CAP_SYS_RAWIO, as in many \
                 containers, or a security module forbids it"
            ),
            _ => format!("{path}: {error}"),
        }
    }

    fn is_locked_for(&self, needs: Needs) -> bool {
        match needs {
            Needs::NoLockdown => ["integrity", "confidentiality"].contains(&&*self.lockdown),
            Needs::NoConfidentiality => self.lockdown == "confidentiality",
        }
    }
}

/// What to do, in sentences.
impl fmt::Display for AccessDiagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_root {
            return f.write_str(
                "Run this as root, with CAP_SYS_RAWIO and CAP_SYS_ADMIN (sudo linpmem-dump ...).",
            );
        }
        if self.is_locked_for(Needs::NoLockdown) {
            write!(
                f,
                "Kernel lockdown ({} mode{}) cannot be lifted without a reboot, which loses the \
                 memory. ",
                self.lockdown,
                if self.is_secure_boot {
                    ", set by Secure Boot"
                } else {
                    ""
                }
            )?;
            f.write_str(
                "If this is a virtual machine, its host can save the memory (virsh dump \
                 --memory-only, QEMU's dump-guest-memory).",
            )?;
            if self.has_crash_kernel {
                f.write_str(
                    " A crash kernel is loaded: if this machine crashes, that one can read the \
                     memory (--source vmcore).",
                )?;
            }
            return Ok(());
        }
        f.write_str("Load the linpmem module (--driver fit, or insmod linpmem.ko).")?;
        if self.is_secure_boot {
            f.write_str(
                " Secure Boot is on: the module needs a signature that this machine trusts.",
            )?;
        }
        Ok(())
    }
}

/// In efivarfs, four bytes of attributes precede the variable's value.
fn is_secure_boot() -> bool {
    let variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    fs::read(variable).is_ok_and(|bytes| bytes.get(4) == Some(&1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(lockdown: &str, is_root: bool) -> AccessDiagnosis {
        AccessDiagnosis {
            lockdown: lockdown.to_owned(),
            is_secure_boot: false,
            is_root,
            has_crash_kernel: false,
        }
    }

    fn why(diagnosis: &AccessDiagnosis, errno: i32, needs: Needs) -> String {
        let error = io::Error::from_raw_os_error(errno);
        diagnosis.reason("/dev/x", &error, needs, "no such driver")
    }

    #[test]
    fn each_obstacle_has_its_own_reason() {
        let (kcore, mem) = (Needs::NoConfidentiality, Needs::NoLockdown);
        let free = diagnosis("none", true);
        assert!(why(&free, 2, mem).contains("no such driver"));
        assert!(why(&free, 1, mem).contains("CAP_SYS_RAWIO"));
        let integrity = diagnosis("integrity", true);
        assert!(why(&integrity, 1, mem).contains("(integrity mode)"));
        assert!(why(&integrity, 1, kcore).contains("CAP_SYS_RAWIO"));
        let all = diagnosis("confidentiality", true);
        assert!(why(&all, 1, kcore).contains("(confidentiality mode)"));
        assert!(all.to_string().contains("cannot be lifted"));
        assert!(!all.to_string().contains("vmcore"));
        let ready = AccessDiagnosis {
            has_crash_kernel: true,
            ..all
        };
        assert!(ready.to_string().contains("--source vmcore"));
        let user = diagnosis("confidentiality", false);
        assert!(why(&user, 13, mem).contains("root only"));
        assert!(user.to_string().contains("as root"));
        assert!(free.to_string().contains("insmod"));
    }
}
