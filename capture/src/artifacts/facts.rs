// SPDX-License-Identifier: MIT OR Apache-2.0
//! The facts about the machine that this program runs on.

use super::known_symbols::KnownSymbols;
use super::machine::{Clocks, Cpus, Machine};
use super::machine_files::{KALLSYMS, MODULES, MachineFiles, VMLINUX_BTF};
use super::modules::{build_id, modules};
use crate::clock;
use linpmem_kinfo::layout::Architecture;
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
    let host = crate::host::this_machine();
    let architecture = memory.architecture.as_ref().unwrap_or(&host.machine);
    let layout = Architecture::from_name(architecture).map(Architecture::layout);
    let vmcoreinfo = memory.vmcoreinfo.as_ref();
    let vmcoreinfo = vmcoreinfo.map(|record| Vmcoreinfo::new(record.text.as_bytes()));
    Machine {
        artifacts_version: Machine::VERSION,
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sha256: None,
        },
        host,
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
                .or_else(|| symbols.kaslr_offset(layout?).map(Address)),
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
        swaps: Vec::new(),
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
    // That no version opens memory of arm64 is said where a symbol file is made.
    if !is_arm64(&machine.memory) {
        let levels = machine.memory.paging_levels;
        warnings.extend(no_volatility(false, levels).map(str::to_owned));
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

/// Whether the machine is one of arm64.
#[must_use]
pub fn is_arm64(memory: &MachineRecord) -> bool {
    memory.architecture.as_deref() == Some(Architecture::Aarch64.name())
}

/// What Volatility 3 cannot do with an image of such a machine.
#[must_use]
pub const fn no_volatility(is_arm64: bool, paging_levels: Option<u32>) -> Option<&'static str> {
    match paging_levels {
        _ if is_arm64 => Some(NO_LAYER),
        Some(5) => Some(FIVE_LEVELS),
        _ => None,
    }
}

/// The note about arm64 (volatility3, pull request 1088).
const NO_LAYER: &str = "Volatility 3 does not open memory of arm64 machines yet: it has no \
    translation layer for them; use drgn or crash";

/// The warning about 5 levels of page tables (volatility3, issue 1938).
const FIVE_LEVELS: &str = "the kernel has 5-level page tables: Volatility 3 shows \
    empty lists for such images, without an error; use drgn or crash";
