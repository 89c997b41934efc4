// SPDX-License-Identifier: MIT OR Apache-2.0
//! The facts of a machine, as they stand in `machine.json`.
//!
//! Readers ignore what they do not know, so that later versions may say more.

use linpmem_manifest::{Address, Host, MachineRecord, Missing, Remark, Tool};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of a machine beside its memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// 1; it grows when a reader of the old form would misunderstand the new one.
    pub artifacts_version: u32,
    /// Who gathered it.
    pub tool: Tool,
    /// uname and the boot's id.
    pub host: Host,
    /// /proc/version without its line's end. The kernel has the same text, with
    /// the line's end, in its memory as `linux_banner`.
    pub banner: Option<String>,
    /// /proc/cmdline without its line's end.
    pub command_line: Option<String>,
    /// Build id of the kernel, hexadecimal.
    pub build_id: Option<String>,
    /// What the source told: page table, KASLR, paging depth and so on.
    pub memory: MachineRecord,
    /// Where the kernel's image lies in physical memory, relative to the address
    /// that it was linked for; negative ones as the kernel prints them.
    pub phys_base: Option<i64>,
    /// The lines of VMCOREINFO, by key.
    #[serde(default)]
    pub vmcoreinfo: BTreeMap<String, String>,
    /// Kernel variables that were read from memory: see
    /// `docs/artifacts.md`.
    #[serde(default)]
    pub variables: BTreeMap<String, Address>,
    /// Processors.
    pub cpus: Cpus,
    /// Modules, as /proc/modules has them.
    #[serde(default)]
    pub modules: Vec<Module>,
    /// The clocks, all read at one moment.
    pub clocks: Clocks,
    /// /proc/sys/kernel/kptr_restrict.
    pub kptr_restrict: Option<i32>,
    /// What could not be had.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// What is to be known of what could.
    #[serde(default)]
    pub remarks: Vec<Remark>,
}

/// Processors, as /sys/devices/system/cpu has them: lists as `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpus {
    /// Those that run.
    pub online: Option<String>,
    /// Those that are there.
    pub present: Option<String>,
    /// Those that there could be.
    pub possible: Option<String>,
    /// `__per_cpu_offset` of each possible one: what is to be added to the
    /// address of a per-CPU symbol.
    #[serde(default)]
    pub per_cpu_offsets: Vec<Address>,
}

/// A module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Bytes of memory.
    pub size: u64,
    /// `Live`, `Loading` or `Unloading`.
    pub state: String,
    /// Where it lies; none if the kernel does not tell.
    pub address: Option<Address>,
    /// Its build id, hexadecimal.
    pub build_id: Option<String>,
    /// Its taints, as in `OE`.
    pub taints: Option<String>,
}

/// The clocks at one moment, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Since 1970-01-01T00:00:00Z.
    pub realtime_ns: u64,
    /// Since the boot, without the time that the machine slept.
    pub monotonic_ns: u64,
    /// Since the boot.
    pub boottime_ns: u64,
}

impl Machine {
    /// The version that is written.
    pub const VERSION: u32 = 1;

    /// How far KASLR moved the kernel, if that is known.
    #[must_use]
    pub fn kaslr_offset(&self) -> Option<u64> {
        self.memory.kaslr_offset.map(|offset| offset.0)
    }
}
