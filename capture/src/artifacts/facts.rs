// SPDX-License-Identifier: MIT OR Apache-2.0
//! The facts about the machine that this program runs on.

use super::known_symbols::KnownSymbols;
use super::machine::{Clocks, Cpus, Machine};
use super::machine_files::{KALLSYMS, MODULES, MachineFiles, VMLINUX_BTF};
use super::modules::{build_id, modules};
use crate::clock;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::{Address, MachineRecord, Missing, Remark, Tool};
use std::collections::BTreeMap;

const MAX_NOTES_BYTES: u64 = 64 << 10;

/// The facts in the machine's `files` and `symbols`, and those that the source of its
/// memory knows. The lists of what is missing are still empty.
pub(super) fn machine(
    files: &MachineFiles,
    memory: &MachineRecord,
    symbols: &KnownSymbols,
) -> Machine {
    let vmcoreinfo = memory.vmcoreinfo.as_ref();
    let vmcoreinfo = vmcoreinfo.map(|record| Vmcoreinfo::new(record.text.as_bytes()));
    Machine {
        artifacts_version: Machine::VERSION,
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        host: crate::host::this_machine(),
        banner: files.text("proc/version"),
        command_line: files.text("proc/cmdline"),
        build_id: files
            .bytes("sys/kernel/notes", MAX_NOTES_BYTES)
            .ok()
            .and_then(|notes| build_id(&notes))
            .or_else(|| vmcoreinfo?.build_id().map(str::to_owned)),
        phys_base: vmcoreinfo.and_then(Vmcoreinfo::phys_base),
        vmcoreinfo: vmcoreinfo
            .into_iter()
            .flat_map(Vmcoreinfo::lines)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        memory: MachineRecord {
            kaslr_offset: memory
                .kaslr_offset
                .or_else(|| symbols.kaslr_offset().map(Address)),
            ..memory.clone()
        },
        variables: BTreeMap::new(),
        cpus: Cpus {
            online: files.text("sys/devices/system/cpu/online"),
            present: files.text("sys/devices/system/cpu/present"),
            possible: files.text("sys/devices/system/cpu/possible"),
            per_cpu_offsets: Vec::new(),
        },
        modules: modules(files),
        clocks: clocks(),
        kptr_restrict: files
            .text("proc/sys/kernel/kptr_restrict")
            .and_then(|level| level.parse().ok()),
        missing: Vec::new(),
        remarks: Vec::new(),
    }
}

fn clocks() -> Clocks {
    let [realtime_ns, monotonic_ns, boottime_ns] = clock::all_ns();
    Clocks {
        realtime_ns,
        monotonic_ns,
        boottime_ns,
    }
}

/// What a reader of the files should know.
pub(super) fn remarks(machine: &Machine, symbols: &KnownSymbols) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if symbols.are_hidden() {
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

/// What the user should know during the run.
pub(super) fn warnings(machine: &Machine, missing: &[Missing]) -> Vec<String> {
    let mut warnings = Vec::new();
    if machine.memory.paging_levels == Some(5) {
        warnings.push(FIVE_LEVELS.to_owned());
    }
    let types = missing.iter().find(|gap| gap.name == VMLINUX_BTF);
    warnings.extend(types.map(|gap| {
        format!(
            "the kernel's types are not among the artifacts ({}): symbols for Volatility 3 will \
             have to come from a debug package",
            gap.reason
        )
    }));
    warnings
}

/// The warning about 5 levels of page tables (volatility3, issue 1938).
pub const FIVE_LEVELS: &str = "the kernel has 5-level page tables: Volatility 3 shows \
    empty lists for such images, without an error; use drgn or crash";
