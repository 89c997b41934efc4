// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running machine as artifacts.

use super::crashed::Build;
use super::known_symbols::{KnownSymbols, SymbolTap};
use super::machine_files::{Items, KALLSYMS, MachineFiles};
use super::store::{Entry, Store, missing, read_error};
use super::{ArtifactsError, MACHINE, Machine, Missing, Remark, VMCOREINFO, facts};
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::MachineRecord;
use std::io::{self, Read};
use std::time::Duration;

/// Files that do not answer within this time are abandoned.
const TIMEOUT: Duration = Duration::from_secs(30);

/// This machine.
#[derive(Debug)]
pub(super) struct Live {
    files: MachineFiles,
    entries: Vec<Entry>,
    missing: Vec<Missing>,
    memory: MachineRecord,
}

/// What the running kernel tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The artifacts that there are.
    pub present: Vec<String>,
    /// Those that there are not.
    pub missing: Vec<Missing>,
    /// What to know of those that there are.
    pub remarks: Vec<Remark>,
}

/// What the running kernel tells of itself, whose memory is as `memory` says. Nothing is kept.
#[must_use]
pub fn describe(memory: MachineRecord) -> Described {
    let live = Live::new(memory);
    let machine = live.machine();
    Described {
        present: live.entries.into_iter().map(|entry| entry.name).collect(),
        missing: machine.missing,
        remarks: machine.remarks,
    }
}

impl Live {
    pub(super) fn new(memory: MachineRecord) -> Self {
        Self::with(MachineFiles::of_this_machine(Some(TIMEOUT)), memory)
    }

    /// This machine, if its kernel is the same build as the one that `crashed` describes.
    pub(super) fn of_same_build(crashed: &MachineRecord) -> Result<Self, ArtifactsError> {
        Self::with_same_build(MachineFiles::of_this_machine(Some(TIMEOUT)), crashed)
    }

    fn with_same_build(
        files: MachineFiles,
        crashed: &MachineRecord,
    ) -> Result<Self, ArtifactsError> {
        let text = crashed.vmcoreinfo.as_ref().map(|note| note.text.as_bytes());
        let release = crate::host::this_machine().kernel_release;
        match Build::compare(&files, &release, text.map(Vmcoreinfo::new)) {
            // KASLR has put the two at different addresses.
            Build::Same => Ok(Self::with(files, MachineRecord::default())),
            Build::Other => Err(missing(
                KALLSYMS,
                "the crash kernel is another build than the kernel that crashed",
            )),
        }
    }

    fn with(files: MachineFiles, memory: MachineRecord) -> Self {
        let release = crate::host::this_machine().kernel_release;
        let Items { found, mut missing } = Items::of(&files, &release);
        let entry = |name: &str| Entry {
            name: name.to_owned(),
            length: None,
        };
        let mut entries = vec![entry(MACHINE)];
        if memory.vmcoreinfo.is_some() {
            entries.push(entry(VMCOREINFO));
        }
        for item in found {
            if files.has(&item.name) {
                entries.push(entry(&item.name));
            } else {
                missing.push(Missing {
                    name: item.name,
                    reason: "the file does not exist".to_owned(),
                });
            }
        }
        Self {
            files,
            entries,
            missing,
            memory,
        }
    }

    fn machine(&self) -> Machine {
        let mut symbols = KnownSymbols::default();
        if let Ok(file) = self.files.open(KALLSYMS) {
            // If the file cannot be read to its end, the symbols before that count.
            let _ = io::copy(&mut SymbolTap::new(file, &mut symbols), &mut io::sink());
        }
        let mut machine = facts::machine(&self.files, &self.memory, &symbols);
        machine.missing.clone_from(&self.missing);
        machine.remarks = facts::remarks(&machine, &symbols);
        machine
    }
}

impl Store for Live {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError> {
        if let Some(gap) = self.missing.iter().find(|gap| gap.name == name) {
            return Err(missing(name, &gap.reason));
        }
        if !self.entries.iter().any(|entry| entry.name == name) {
            return Err(missing(name, "it is not collected"));
        }
        match name {
            MACHINE => {
                let json = serde_json::to_vec_pretty(&self.machine());
                let json = json.map_err(|error| read_error(name)(error.into()))?;
                Ok(Box::new(io::Cursor::new(json)))
            }
            VMCOREINFO => {
                let note = self.memory.vmcoreinfo.as_ref();
                let text = note.map_or(&[][..], |note| note.text.as_bytes());
                Ok(Box::new(text))
            }
            _ => Ok(Box::new(self.files.open(name).map_err(read_error(name))?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Artifacts;
    use super::*;
    use crate::source::vmcoreinfo_record;
    use linpmem_manifest::Address;
    use std::fs;

    #[test]
    fn after_a_crash_symbols_are_taken_at_the_crash_kernels_own_addresses() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc")).unwrap();
        let symbols = "ffffffff9d000000 T _text\n";
        fs::write(folder.path().join(KALLSYMS), symbols).unwrap();
        let files = || MachineFiles::at(folder.path().to_path_buf(), None);
        let release = crate::host::this_machine().kernel_release;
        let crashed = |text: &str| MachineRecord {
            kaslr_offset: Some(Address(0x200_0000)),
            vmcoreinfo: Some(vmcoreinfo_record(text.as_bytes())),
            ..MachineRecord::default()
        };
        let same = crashed(&format!("OSRELEASE={release}\n"));
        let live = Live::with_same_build(files(), &same).unwrap();
        // On arm64 no symbol tells it.
        let is_x86 = crate::host::this_machine().machine == "x86_64";
        let own = is_x86.then_some(0x1c00_0000);
        assert_eq!(live.machine().kaslr_offset(), own);
        let other = crashed("OSRELEASE=0.99\n");
        let error = Live::with_same_build(files(), &other).unwrap_err();
        assert!(error.to_string().contains("another build"), "{error}");
    }

    #[test]
    fn the_banner_of_this_machine_is_collected() {
        let artifacts = Artifacts::live(None);
        let banner = artifacts.banner().unwrap();
        assert!(banner.starts_with(b"Linux version ") && banner.ends_with(b"\n"));
        let machine = artifacts.machine().unwrap();
        assert_eq!(
            machine.banner.unwrap().as_bytes(),
            banner.strip_suffix(b"\n").unwrap()
        );
        assert!(machine.clocks.boottime_ns >= machine.clocks.monotonic_ns);
        assert!(machine.cpus.online.is_some());
        let error = artifacts.bytes("proc/kcore", 1).unwrap_err();
        assert!(error.to_string().contains("proc/kcore"), "{error}");
    }
}
