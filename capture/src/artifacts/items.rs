// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files of a machine are artifacts.

use super::Missing;
use super::tree::Tree;

/// A file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// As in `proc/version`.
    pub(super) name: String,
    /// More bytes than it may have; then it is left out.
    pub(super) limit: u64,
}

pub(super) const KALLSYMS: &str = "proc/kallsyms";
pub(super) const MODULES: &str = "proc/modules";
pub(super) const BTF_FOLDER: &str = "sys/kernel/btf";

pub(super) const VMLINUX_BTF: &str = "sys/kernel/btf/vmlinux";

const SMALL: u64 = 4 << 20;
/// A large kernel has 15 MiB of symbols and 10 MiB of types.
const LARGE: u64 = 64 << 20;

/// Those that have one name on every machine.
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

/// Where distributions put what belongs to a kernel; the first one counts.
const CONFIG: [&str; 3] = [
    "boot/config-RELEASE",
    "lib/modules/RELEASE/config",
    "proc/config.gz",
];
const SYSTEM_MAP: [&str; 2] = ["boot/System.map-RELEASE", "lib/modules/RELEASE/System.map"];

/// The files of `tree` that are artifacts, of a kernel of this `release`, and those
/// that are not there.
pub(super) fn items(tree: &Tree, release: &str) -> (Vec<Item>, Vec<Missing>) {
    let mut items: Vec<Item> = SMALL_FILES.iter().map(|name| item(name, SMALL)).collect();
    let mut missing = Vec::new();
    first_of(tree, &CONFIG, release, SMALL, &mut items, &mut missing);
    items.push(item(KALLSYMS, LARGE));
    first_of(tree, &SYSTEM_MAP, release, LARGE, &mut items, &mut missing);
    match tree.list(BTF_FOLDER) {
        Ok(names) => {
            for name in names {
                items.push(item(&format!("{BTF_FOLDER}/{name}"), LARGE));
            }
        }
        Err(error) => missing.push(Missing {
            name: VMLINUX_BTF.to_owned(),
            reason: match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "the kernel was built without CONFIG_DEBUG_INFO_BTF".to_owned()
                }
                _ => error.to_string(),
            },
        }),
    }
    (items, missing)
}

fn item(name: &str, limit: u64) -> Item {
    Item {
        name: name.to_owned(),
        limit,
    }
}

fn first_of(
    tree: &Tree,
    names: &[&str],
    release: &str,
    limit: u64,
    items: &mut Vec<Item>,
    missing: &mut Vec<Missing>,
) {
    // A release with a slash would name other files.
    let release = release.replace('/', "_");
    let names: Vec<String> = names
        .iter()
        .map(|name| name.replace("RELEASE", &release))
        .collect();
    match names.iter().find(|name| tree.has(name)) {
        Some(name) => items.push(item(name, limit)),
        None => missing.push(Missing {
            name: names.first().cloned().unwrap_or_default(),
            reason: format!("there is none of {}", names.join(", ")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_not_there_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::at(folder.path().to_path_buf(), None);
        let (items, missing) = items(&tree, "6.1/../x");
        assert!(items.iter().any(|item| item.name == KALLSYMS));
        let names: Vec<&str> = missing.iter().map(|gap| gap.name.as_str()).collect();
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
        let tree = Tree::at(folder.path().to_path_buf(), None);
        let (items, missing) = items(&tree, "6.1");
        assert_eq!(missing, []);
        let has = |name| items.iter().any(|item| item.name == name);
        assert!(has("lib/modules/6.1/config") && !has("proc/config.gz"));
        assert!(has("sys/kernel/btf/e1000") && has("boot/System.map-6.1"));
    }
}
