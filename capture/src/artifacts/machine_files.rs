// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of the machine that this program runs on, and which of them are artifacts.
//!
//! None of them is trusted: each is read up to a limit and abandoned when it hangs.

use super::Missing;
use crate::timeout::{Patience, TimeoutFile};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Texts that are facts, like /proc/version, are cut off here.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Further files in a folder are ignored.
const MAX_FILES: usize = 8192;

/// The machine's files: those below `/`, or below a test's folder.
#[derive(Clone, Debug)]
pub(super) struct MachineFiles {
    root: PathBuf,
    patience: Patience,
}

impl MachineFiles {
    /// This machine's. What does not answer within `timeout` is abandoned.
    pub(super) fn of_this_machine(timeout: Option<Duration>) -> Self {
        Self::at(PathBuf::from("/"), timeout)
    }

    pub(super) fn at(root: PathBuf, timeout: Option<Duration>) -> Self {
        Self {
            root,
            patience: Patience::new(timeout),
        }
    }

    /// Opens the file `name`, such as `proc/version`.
    pub(super) fn open(&self, name: &str) -> io::Result<TimeoutFile> {
        TimeoutFile::open(&self.root.join(name), &self.patience)
    }

    pub(super) fn bytes(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        TimeoutFile::all(&self.root.join(name), limit, &self.patience)
    }

    /// A text file, without white space at its end.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let bytes = self.bytes(name, MAX_TEXT_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_end().to_owned())
    }

    /// Whether there is a file or anything else of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let path = self.root.join(name);
        self.patience.ask(move || path.symlink_metadata()).is_ok()
    }

    /// The names in a folder, sorted, without those that are not UTF-8: the kernel has
    /// none.
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.root.join(folder);
        let mut names = self.patience.ask(move || {
            let entries = path.read_dir()?.take(MAX_FILES);
            let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
            let names: Vec<Option<String>> = names.collect::<io::Result<_>>()?;
            Ok(names.into_iter().flatten().collect::<Vec<String>>())
        })?;
        names.sort_unstable();
        Ok(names)
    }
}

pub(super) const KALLSYMS: &str = "proc/kallsyms";
pub(super) const MODULES: &str = "proc/modules";
pub(super) const VMLINUX_BTF: &str = "sys/kernel/btf/vmlinux";
const BTF_FOLDER: &str = "sys/kernel/btf";

/// A large kernel has 15 MiB of symbols and 10 MiB of types.
const LARGE: u64 = 64 << 20;
const SMALL: u64 = 4 << 20;

/// Files that have the same name on every machine.
const SMALL_FILES: [&str; 13] = [
    "proc/version",
    "proc/cmdline",
    "proc/iomem",
    MODULES,
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/uptime",
    "proc/swaps",
    "proc/self/mountinfo",
    "proc/sys/kernel/tainted",
    "sys/kernel/notes",
    "sys/kernel/vmcoreinfo",
    "etc/os-release",
];

/// Where distributions put what belongs to a kernel; the first that exists is taken.
const CONFIG: [&str; 3] = [
    "boot/config-RELEASE",
    "lib/modules/RELEASE/config",
    "proc/config.gz",
];
const SYSTEM_MAP: [&str; 2] = ["boot/System.map-RELEASE", "lib/modules/RELEASE/System.map"];

/// The name of a file to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Such as `proc/version`.
    pub(super) name: String,
    /// A file with more bytes is left out.
    pub(super) limit: u64,
}

/// What `files` have that is an artifact of a kernel of this `release`.
#[derive(Debug)]
pub(super) struct Items {
    /// The files to collect.
    pub(super) found: Vec<Item>,
    /// Files that should be there and are not.
    pub(super) missing: Vec<Missing>,
}

impl Items {
    pub(super) fn of(files: &MachineFiles, release: &str) -> Self {
        let mut items = Self {
            found: Vec::new(),
            missing: Vec::new(),
        };
        for name in SMALL_FILES {
            items.add(name, SMALL);
        }
        items.add_first(files, &CONFIG, release, SMALL);
        items.add(KALLSYMS, LARGE);
        items.add_first(files, &SYSTEM_MAP, release, LARGE);
        match files.list(BTF_FOLDER) {
            Ok(names) => {
                for name in names {
                    items.add(&format!("{BTF_FOLDER}/{name}"), LARGE);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => items.lack(
                VMLINUX_BTF,
                "the kernel was built without CONFIG_DEBUG_INFO_BTF".to_owned(),
            ),
            Err(error) => items.lack(VMLINUX_BTF, error.to_string()),
        }
        items
    }

    fn add(&mut self, name: &str, limit: u64) {
        self.found.push(Item {
            name: name.to_owned(),
            limit,
        });
    }

    fn lack(&mut self, name: &str, reason: String) {
        self.missing.push(Missing {
            name: name.to_owned(),
            reason,
        });
    }

    /// Adds the first of `patterns` that exists.
    fn add_first<const N: usize>(
        &mut self,
        files: &MachineFiles,
        patterns: &[&str; N],
        release: &str,
        limit: u64,
    ) {
        // A release with a slash would name other files.
        let release = release.replace('/', "_");
        let names = patterns.map(|pattern| pattern.replace("RELEASE", &release));
        match names.iter().find(|name| files.has(name)) {
            Some(name) => self.add(name, limit),
            None => {
                let reason = format!("none of these exists: {}", names.join(", "));
                if let Some(first) = names.first() {
                    self.lack(first, reason);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_not_there_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        let items = Items::of(&files, "6.1/../x");
        assert!(items.found.iter().any(|item| item.name == KALLSYMS));
        let names: Vec<&str> = items.missing.iter().map(|gap| gap.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "boot/config-6.1_.._x",
                "boot/System.map-6.1_.._x",
                "sys/kernel/btf/vmlinux"
            ]
        );
    }

    #[test]
    fn the_first_place_counts_and_every_modules_types_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "lib/modules/6.1/config",
            "proc/config.gz",
            "boot/System.map-6.1",
            "sys/kernel/btf/vmlinux",
            "sys/kernel/btf/e1000",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        let items = Items::of(&files, "6.1");
        assert_eq!(items.missing, []);
        let has = |name| items.found.iter().any(|item| item.name == name);
        assert!(has("lib/modules/6.1/config") && !has("proc/config.gz"));
        assert!(has("sys/kernel/btf/e1000") && has("boot/System.map-6.1"));
    }
}
