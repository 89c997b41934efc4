// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a crash kernel can tell of the kernel that crashed. Most of its files describe the
//! crash kernel itself; what depends on the build alone is true of both if they are the
//! same build, as they usually are, and what the firmware keeps is true in any case.

use super::Remark;
use super::machine::{Cpus, Machine};
use super::machine_files::{Item, Items, MachineFiles, TrueOf};
use super::modules::build_id;
use super::{MACHINE, Missing};
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;

const NOTES: &str = "sys/kernel/notes";
const MAX_NOTES_BYTES: u64 = 64 << 10;

/// How the kernel that runs now compares with the one that crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    Same,
    Other,
}

impl Build {
    /// Compares the kernel that runs now, whose name is `release`, with the one that
    /// `crashed` describes: by their build ids, or else by their releases.
    pub(super) fn compare(
        files: &MachineFiles,
        release: &str,
        crashed: Option<Vmcoreinfo<'_>>,
    ) -> Self {
        let own = files.bytes(NOTES, MAX_NOTES_BYTES).ok();
        let own = own.and_then(|notes| build_id(&notes));
        let crashed_id = crashed.and_then(Vmcoreinfo::build_id);
        let is_same = match (own, crashed_id) {
            (Some(own), Some(crashed)) => own.eq_ignore_ascii_case(crashed),
            _ => crashed.and_then(Vmcoreinfo::release) == Some(release),
        };
        if is_same { Self::Same } else { Self::Other }
    }

    /// Those of `items` that are true of the kernel that crashed. The others are missing.
    pub(super) fn select(self, items: Items) -> Items {
        let is_true = |item: &Item| match item.true_of {
            TrueOf::Machine => true,
            TrueOf::Build => self == Self::Same,
            TrueOf::Boot => false,
        };
        let (found, others): (Vec<Item>, Vec<Item>) = items.found.into_iter().partition(is_true);
        let mut missing = items.missing;
        missing.extend(others.into_iter().map(|item| {
            Missing {
                name: item.name,
                reason: match item.true_of {
                    TrueOf::Build => {
                        "this machine has it of another build of the kernel than the one \
                                  that crashed"
                    }
                    _ => "this machine has it of the crash kernel, not of the kernel that crashed",
                }
                .to_owned(),
            }
        }));
        Items { found, missing }
    }

    /// `machine`, the facts about the kernel that runs now, without those that are not true
    /// of the one that crashed.
    pub(super) fn facts(self, machine: Machine) -> Machine {
        let crashed_id = machine.vmcoreinfo.get("BUILD-ID").cloned();
        Machine {
            banner: machine.banner.filter(|_| self == Self::Same),
            command_line: None,
            build_id: crashed_id,
            cpus: Cpus::default(),
            modules: Vec::new(),
            kptr_restrict: None,
            ..machine
        }
    }

    /// What a reader of the files should know.
    pub(super) fn remark(self) -> Remark {
        let build = match self {
            Self::Same => {
                "It is the same build as the kernel that crashed, so that files that depend on the \
                 build alone were collected from it"
            }
            Self::Other => {
                "It is another build than the kernel that crashed, so that no file that describes \
                 a kernel was collected from it"
            }
        };
        Remark {
            name: MACHINE.to_owned(),
            text: format!("host and clocks are those of the crash kernel. {build}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_kinfo::notes;
    use std::fs;

    fn machine_with_notes(id: &[u8]) -> (tempfile::TempDir, MachineFiles) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("sys/kernel")).unwrap();
        let mut note = Vec::new();
        notes::append(&mut note, b"GNU", 3, id).unwrap();
        fs::write(folder.path().join(NOTES), note).unwrap();
        let files = MachineFiles::at(folder.path().to_path_buf(), None);
        (folder, files)
    }

    #[test]
    fn the_build_id_decides_and_without_one_the_release() {
        let (_folder, files) = machine_with_notes(&[0x01, 0xab]);
        let compare = |text: &str| {
            let info = Some(Vmcoreinfo::new(text.as_bytes()));
            Build::compare(&files, "7.3.4", info)
        };
        assert_eq!(compare("OSRELEASE=7.3.4\nBUILD-ID=01AB\n"), Build::Same);
        assert_eq!(compare("OSRELEASE=7.3.4\nBUILD-ID=01ac\n"), Build::Other);
        assert_eq!(compare("OSRELEASE=7.3.4\n"), Build::Same);
        assert_eq!(compare("OSRELEASE=7.3.5\n"), Build::Other);
        assert_eq!(Build::compare(&files, "7.3.4", None), Build::Other);
    }

    #[test]
    fn files_of_the_crash_kernel_do_not_pass_for_those_of_the_one_that_crashed() {
        let names = |build: Build| {
            let (_folder, files) = machine_with_notes(&[1]);
            let items = build.select(Items::of(&files, "7.3.4"));
            let found = items.found.into_iter().map(|item| item.name);
            let missing = items.missing.into_iter().map(|gap| gap.name);
            (found.collect::<Vec<_>>(), missing.collect::<Vec<_>>())
        };
        let (found, missing) = names(Build::Same);
        assert_eq!(found, ["proc/version", "sys/kernel/notes"]);
        for name in [
            "proc/kallsyms",
            "proc/modules",
            "proc/iomem",
            "proc/cmdline",
            "dev/kmsg",
        ] {
            assert!(missing.iter().any(|gap| gap == name), "{name}: {missing:?}");
        }
        let (found, missing) = names(Build::Other);
        assert!(found.is_empty(), "{found:?}");
        assert!(missing.iter().any(|gap| gap == "proc/version"));
    }

    #[test]
    fn facts_are_those_of_the_kernel_that_crashed() {
        let machine = Machine {
            banner: Some("Linux version 7.3.4".to_owned()),
            command_line: Some("elfcorehdr=0x1000".to_owned()),
            build_id: Some("00".to_owned()),
            vmcoreinfo: [("BUILD-ID".to_owned(), "01ab".to_owned())].into(),
            kptr_restrict: Some(0),
            ..Machine::for_tests()
        };
        let same = Build::Same.facts(machine.clone());
        assert_eq!(same.build_id.as_deref(), Some("01ab"));
        assert_eq!(same.command_line, None);
        assert!(same.banner.is_some());
        assert_eq!(Build::Other.facts(machine).banner, None);
    }
}
