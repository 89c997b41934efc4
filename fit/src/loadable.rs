// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the running system would accept a module that nobody has signed.

use std::fs;
use std::path::Path;

/// Why the running system loads no module, or not this one. Nothing was tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The processor is of another architecture.
    #[error(
        "this machine is {0}, and the prebuilt module is for x86-64: build linpmem.ko for it, or \
         read memory without the module (--source kcore)"
    )]
    Architecture(String),
    /// Modules cannot be loaded until the next boot.
    #[error(
        "loading modules is disabled until the next boot (sysctl kernel.modules_disabled is 1): \
         read memory without the module (--source kcore)"
    )]
    ModulesDisabled,
    /// The kernel has no support for modules.
    #[error(
        "this kernel was built without loadable modules (there is no /proc/modules): read memory \
         without the module (--source kcore)"
    )]
    NoModules,
    /// Lockdown is on, and /proc/kcore can still be read.
    #[error(
        "the kernel is locked down ({0}), so that it loads only modules with a signature it \
         trusts, and does not let them read memory either: read System RAM without the module \
         (--source kcore)"
    )]
    Integrity(String),
    /// Lockdown is on, and nothing in the machine can read memory.
    #[error(
        "the kernel is locked down ({0}), so that it loads only modules with a signature it \
         trusts, and lets nothing read memory: acquire it from outside, such as by the hypervisor"
    )]
    Lockdown(String),
    /// Only signed modules are loaded.
    #[error(
        "this kernel loads only modules with a signature it trusts (module.sig_enforce): write the \
         module with `linpmem-fit -o linpmem.ko`, sign it with a key that this machine trusts \
         (the kernel's scripts/sign-file; enroll the key with mokutil --import), and load that"
    )]
    SignaturesEnforced,
    /// The kernel is a paravirtual guest of Xen.
    #[error(
        "this is a paravirtual Xen guest, whose physical addresses are not the machine's: acquire \
         its memory from dom0 (xl dump-core)"
    )]
    XenPv,
}

/// Says whether the running system would accept the module.
///
/// # Errors
/// The first of the rules that forbid it.
pub fn check_loadable() -> Result<(), Refusal> {
    let machine = rustix::system::uname()
        .machine()
        .to_string_lossy()
        .into_owned();
    check_at(Path::new("/"), &machine)
}

/// As above, for the system whose root is at `root`. Where a file is missing, the kernel
/// has no such rule.
fn check_at(root: &Path, machine: &str) -> Result<(), Refusal> {
    let read = |path: &str| {
        let text = fs::read_to_string(root.join(path)).unwrap_or_default();
        text.trim().to_owned()
    };
    if machine != "x86_64" {
        return Err(Refusal::Architecture(machine.to_owned()));
    }
    if read("sys/hypervisor/guest_type") == "PV" {
        return Err(Refusal::XenPv);
    }
    if root.join("proc/self").exists() && !root.join("proc/modules").exists() {
        return Err(Refusal::NoModules);
    }
    if read("proc/sys/kernel/modules_disabled") == "1" {
        return Err(Refusal::ModulesDisabled);
    }
    let lockdown = read("sys/kernel/security/lockdown");
    let mode = lockdown
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    match mode.map(|(mode, _)| mode) {
        None | Some("none") => {}
        Some(mode @ "integrity") => return Err(Refusal::Integrity(mode.to_owned())),
        Some(mode) => return Err(Refusal::Lockdown(mode.to_owned())),
    }
    if read("sys/module/module/parameters/sig_enforce") == "Y" {
        return Err(Refusal::SignaturesEnforced);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with these files.
    fn check(files: &[(&str, &str)]) -> Result<(), Refusal> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        check_at(root.path(), "x86_64")
    }

    #[test]
    fn each_rule_that_forbids_the_module_is_named() {
        assert_eq!(check(&[]), Ok(()));
        let open = [
            ("proc/modules", ""),
            ("proc/self/stat", ""),
            ("proc/sys/kernel/modules_disabled", "0\n"),
            (
                "sys/kernel/security/lockdown",
                "[none] integrity confidentiality\n",
            ),
            ("sys/module/module/parameters/sig_enforce", "N\n"),
            ("sys/hypervisor/guest_type", "HVM\n"),
        ];
        assert_eq!(check(&open), Ok(()));
        for (path, text, refusal) in [
            (
                "proc/sys/kernel/modules_disabled",
                "1\n",
                Refusal::ModulesDisabled,
            ),
            (
                "sys/kernel/security/lockdown",
                "none [integrity] confidentiality\n",
                Refusal::Integrity("integrity".to_owned()),
            ),
            (
                "sys/kernel/security/lockdown",
                "none integrity [confidentiality]\n",
                Refusal::Lockdown("confidentiality".to_owned()),
            ),
            (
                "sys/module/module/parameters/sig_enforce",
                "Y\n",
                Refusal::SignaturesEnforced,
            ),
            ("sys/hypervisor/guest_type", "PV\n", Refusal::XenPv),
        ] {
            let files = open.map(|(name, open)| (name, if name == path { text } else { open }));
            assert_eq!(check(&files), Err(refusal));
        }
        assert_eq!(check(&[("proc/self/stat", "")]), Err(Refusal::NoModules));
        let refused = check_at(Path::new("/nonexistent"), "aarch64");
        assert_eq!(refused, Err(Refusal::Architecture("aarch64".to_owned())));
    }
}
