// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine says about modules, for errors that explain.

use std::fs;
use std::path::Path;

/// The mode in brackets in `none [integrity] confidentiality`.
pub(crate) fn lockdown() -> String {
    let text = read("/sys/kernel/security/lockdown");
    let mode = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    mode.map_or("unknown", |(mode, _)| mode).to_owned()
}

/// Whether the module called linpmem is loaded.
pub(crate) fn is_loaded() -> bool {
    Path::new("/sys/module/linpmem").exists()
}

/// Whether loading modules is disabled until the next boot.
pub(super) fn modules_disabled() -> bool {
    read("/proc/sys/kernel/modules_disabled").trim() == "1"
}

/// Whether unsigned modules are refused.
pub(super) fn signatures_enforced() -> bool {
    read("/sys/module/module/parameters/sig_enforce").trim() == "Y"
}

/// Whether Secure Boot is on. In efivarfs, four bytes of attributes precede the value
/// of the variable.
pub(super) fn secure_boot() -> bool {
    let variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    fs::read(variable).is_ok_and(|bytes| bytes.get(4) == Some(&1))
}

/// The running kernel's release.
pub(super) fn release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// The processes that have `node` open, as `PID (NAME)`, as far as this process may
/// see them.
pub(super) fn holders(node: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let has_open = |process: &Path| {
        fs::read_dir(process.join("fd")).is_ok_and(|files| {
            files
                .flatten()
                .any(|file| fs::read_link(file.path()).is_ok_and(|target| target == node))
        })
    };
    processes
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().bytes().all(|b| b.is_ascii_digit())
        })
        .filter(|entry| has_open(&entry.path()))
        .map(|entry| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            format!("{} ({})", entry.file_name().to_string_lossy(), name.trim())
        })
        .collect()
}

/// The major and minor number of the module's node: those of the misc device, or the
/// major number that the module was told to register.
pub(crate) fn device_number() -> Option<(u32, u32)> {
    if let Some((major, minor)) = read("/sys/class/misc/linpmem/dev").trim().split_once(':') {
        return Some((major.parse().ok()?, minor.parse().ok()?));
    }
    let devices = read("/proc/devices");
    let line = devices
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .find(|(_, name)| *name == "linpmem")?;
    Some((line.0.parse().ok()?, 0))
}

/// How to create the missing node.
pub(crate) fn node_hint() -> String {
    match device_number() {
        Some((major, minor)) => format!("create it with `mknod /dev/linpmem c {major} {minor}`"),
        None => "unload that module and load this project's linpmem.ko".to_owned(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_this_process_has_open_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("held");
        let _file = fs::File::create(&path).unwrap();
        let own = std::process::id().to_string();
        let found = holders(&path);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&own), "{found:?}");
    }
}
