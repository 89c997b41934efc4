// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running machine as artifacts.

use super::items::{self, KALLSYMS};
use super::kallsyms::Kallsyms;
use super::known_symbols::KnownSymbols;
use super::store::{Entry, Store, failed, no_such};
use super::tree::Tree;
use super::{ArtifactsError, MACHINE, Machine, Missing, VMCOREINFO, facts};
use linpmem_manifest::MachineRecord;
use std::io::{self, BufReader, Read};
use std::time::Duration;

/// What does not answer within this time is given up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// This machine.
#[derive(Debug)]
pub(super) struct Live {
    tree: Tree,
    entries: Vec<Entry>,
    missing: Vec<Missing>,
    memory: MachineRecord,
}

impl Live {
    pub(super) fn new(memory: MachineRecord) -> Self {
        Self::with(Tree::of_this_machine(Some(TIMEOUT)), memory)
    }

    fn with(tree: Tree, memory: MachineRecord) -> Self {
        let (items, mut missing) = items::items(&tree, &crate::host::this_machine().kernel_release);
        let entry = |name: &str| Entry {
            name: name.to_owned(),
            length: None,
        };
        let mut entries = vec![entry(MACHINE)];
        if memory.vmcoreinfo.is_some() {
            entries.push(entry(VMCOREINFO));
        }
        for item in items {
            if tree.has(&item.name) {
                entries.push(entry(&item.name));
            } else {
                missing.push(Missing {
                    name: item.name,
                    reason: "there is no such file".to_owned(),
                });
            }
        }
        Self {
            tree,
            entries,
            missing,
            memory,
        }
    }

    fn machine(&self) -> Machine {
        let mut landmarks = KnownSymbols::default();
        if let Ok(file) = self.tree.open(KALLSYMS) {
            let mut symbols = Kallsyms::new(BufReader::new(file));
            while let Ok(Some(symbol)) = symbols.next_symbol() {
                landmarks.see(&symbol);
            }
        }
        let mut machine = facts::machine(&self.tree, &self.memory, &landmarks);
        machine.missing.clone_from(&self.missing);
        machine.remarks = facts::remarks(&machine, &landmarks);
        machine
    }
}

impl Store for Live {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError> {
        if let Some(gap) = self.missing.iter().find(|gap| gap.name == name) {
            return Err(no_such(name, &gap.reason));
        }
        if !self.entries.iter().any(|entry| entry.name == name) {
            return Err(no_such(name, "it is not gathered"));
        }
        match name {
            MACHINE => {
                let json = serde_json::to_vec_pretty(&self.machine());
                let json = json.map_err(|error| failed(name)(error.into()))?;
                Ok(Box::new(io::Cursor::new(json)))
            }
            VMCOREINFO => {
                let note = self.memory.vmcoreinfo.as_ref();
                let text = note.map_or(&[][..], |note| note.text.as_bytes());
                Ok(Box::new(text))
            }
            _ => Ok(Box::new(self.tree.open(name).map_err(failed(name))?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Artifacts;

    #[test]
    fn this_machine_tells_its_banner() {
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
