// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running machine as artifacts.

use super::known_symbols::{KnownSymbols, SymbolTap};
use super::machine_files::{Items, KALLSYMS, MachineFiles};
use super::store::{Entry, Store, missing, read_error};
use super::{ArtifactsError, MACHINE, Machine, Missing, VMCOREINFO, facts};
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

impl Live {
    pub(super) fn new(memory: MachineRecord) -> Self {
        Self::with(MachineFiles::of_this_machine(Some(TIMEOUT)), memory)
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
