// SPDX-License-Identifier: MIT OR Apache-2.0
//! The facts of the machine that the program runs on.

use super::items::{KALLSYMS, MODULES, VMLINUX_BTF};
use super::known_symbols::KnownSymbols;
use super::machine::{Clocks, Cpus, Machine};
use super::modules::{build_id, modules};
use super::tree::Tree;
use crate::clock;
use linpmem_manifest::{Address, MachineRecord, Missing, Remark, Tool};
use std::collections::BTreeMap;

const MAX_NOTES_BYTES: u64 = 64 << 10;

/// What `tree`, the machine's files, tells of it, and `memory`, the source of its
/// memory. What is missing is not among them yet.
pub(super) fn machine(tree: &Tree, memory: &MachineRecord, landmarks: &KnownSymbols) -> Machine {
    let vmcoreinfo = memory
        .vmcoreinfo
        .as_ref()
        .map(|note| lines(&note.text))
        .unwrap_or_default();
    let mut memory = memory.clone();
    memory.kaslr_offset = memory
        .kaslr_offset
        .or_else(|| landmarks.kaslr_offset().map(Address));
    Machine {
        artifacts_version: Machine::VERSION,
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        host: crate::host::this_machine(),
        banner: tree.text("proc/version"),
        command_line: tree.text("proc/cmdline"),
        build_id: tree
            .bytes("sys/kernel/notes", MAX_NOTES_BYTES)
            .ok()
            .and_then(|notes| build_id(&notes))
            .or_else(|| vmcoreinfo.get("BUILD-ID").cloned()),
        phys_base: vmcoreinfo
            .get("NUMBER(phys_base)")
            .and_then(|base| base.parse().ok()),
        vmcoreinfo,
        memory,
        variables: BTreeMap::new(),
        cpus: Cpus {
            online: tree.text("sys/devices/system/cpu/online"),
            present: tree.text("sys/devices/system/cpu/present"),
            possible: tree.text("sys/devices/system/cpu/possible"),
            per_cpu_offsets: Vec::new(),
        },
        modules: modules(tree),
        clocks: clocks(),
        kptr_restrict: tree
            .text("proc/sys/kernel/kptr_restrict")
            .and_then(|level| level.parse().ok()),
        missing: Vec::new(),
        remarks: Vec::new(),
    }
}

/// `KEY=VALUE` on each line, where KEY may be `SYMBOL(name)`.
fn lines(note: &str) -> BTreeMap<String, String> {
    note.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn clocks() -> Clocks {
    let [realtime_ns, monotonic_ns, boottime_ns] = clock::all_ns();
    Clocks {
        realtime_ns,
        monotonic_ns,
        boottime_ns,
    }
}

/// What is to be known of the files.
pub(super) fn remarks(machine: &Machine, landmarks: &KnownSymbols) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if landmarks.are_hidden() {
        let level = match machine.kptr_restrict {
            Some(level) => format!(" (kernel.kptr_restrict is {level})"),
            None => String::new(),
        };
        remarks.push(Remark {
            name: KALLSYMS.to_owned(),
            text: format!("every address is 0: the kernel hides them{level}"),
        });
    }
    let hidden = machine
        .modules
        .iter()
        .all(|module| module.address.is_none());
    if hidden && !machine.modules.is_empty() {
        remarks.push(Remark {
            name: MODULES.to_owned(),
            text: "every address is 0: the kernel hides them".to_owned(),
        });
    }
    remarks
}

/// What the user should know at once.
pub(super) fn warnings(machine: &Machine, missing: &[Missing]) -> Vec<String> {
    let mut warnings = Vec::new();
    if machine.memory.paging_levels == Some(5) {
        warnings.push(FIVE_LEVELS.to_owned());
    }
    let types = missing.iter().find(|gap| gap.name == VMLINUX_BTF);
    warnings.extend(types.map(|gap| {
        format!(
            "the kernel's types are not among the artifacts ({}): symbols for Volatility 3 must \
             come from a debug package",
            gap.reason
        )
    }));
    warnings
}

/// What is to be said of five levels (volatility3, issue 1938).
pub const FIVE_LEVELS: &str = "the kernel has 5-level page tables: Volatility 3 shows \
    empty lists of such memory, without an error; use drgn or crash";
