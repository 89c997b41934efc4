// SPDX-License-Identifier: MIT OR Apache-2.0
//! The facts about a machine, as in `machine.json`.
//!
//! Readers ignore fields that they do not know, so that later versions can add some.

use super::SwapArea;
use linpmem_manifest::{Address, Host, MachineRecord, Missing, Remark, Tool};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The facts about a machine that come with its memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// 1; it is increased when a reader of the old form would misunderstand the new one.
    pub artifacts_version: u32,
    /// The program that collected them.
    pub tool: Tool,
    /// uname and the id of the boot.
    pub host: Host,
    /// /proc/version without the line feed. The kernel has the same text, with the line
    /// feed, in its memory as `linux_banner`.
    pub banner: Option<String>,
    /// /proc/cmdline without the line feed.
    pub command_line: Option<String>,
    /// Build id of the kernel, hexadecimal.
    pub build_id: Option<String>,
    /// What the source of memory knows: page table, KASLR, paging levels and so on.
    pub memory: MachineRecord,
    /// Where the kernel's image is in physical memory, relative to the address that it
    /// was linked for. May be negative, as the kernel prints it.
    pub phys_base: Option<i64>,
    /// The lines of VMCOREINFO, by key.
    #[serde(default)]
    pub vmcoreinfo: BTreeMap<String, String>,
    /// Kernel variables that were read from memory: see `docs/artifacts.md`.
    #[serde(default)]
    pub variables: BTreeMap<String, Address>,
    /// Processors.
    pub cpus: Cpus,
    /// Modules, as in /proc/modules.
    #[serde(default)]
    pub modules: Vec<Module>,
    /// Swap areas, as in /proc/swaps; images of earlier versions do not say.
    #[serde(default)]
    pub swaps: Vec<SwapArea>,
    /// The clocks, all read at one moment.
    pub clocks: Clocks,
    /// /proc/sys/kernel/kptr_restrict.
    pub kptr_restrict: Option<i32>,
    /// What could not be collected.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// What a reader should know about what was collected.
    #[serde(default)]
    pub remarks: Vec<Remark>,
}

/// Processors, as in /sys/devices/system/cpu: lists such as `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpus {
    /// Processors that are running.
    pub online: Option<String>,
    /// Processors that are installed.
    pub present: Option<String>,
    /// Processors that could be added.
    pub possible: Option<String>,
    /// `__per_cpu_offset` of each possible one, to be added to the address of a per-CPU
    /// symbol.
    #[serde(default)]
    pub per_cpu_offsets: Vec<Address>,
}

/// A kernel module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Bytes of memory.
    pub size: u64,
    /// `Live`, `Loading` or `Unloading`.
    pub state: String,
    /// Its address; `None` if the kernel hides it.
    pub address: Option<Address>,
    /// Its build id, hexadecimal.
    pub build_id: Option<String>,
    /// Its taints, such as `OE`.
    pub taints: Option<String>,
}

/// The clocks, all read at one moment, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Since 1970-01-01T00:00:00Z.
    pub realtime_ns: u64,
    /// Since the boot, without the time that the machine was suspended.
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

    /// Facts that say nothing.
    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        let host = crate::host::this_machine();
        Self {
            artifacts_version: Self::VERSION,
            tool: Tool {
                name: String::new(),
                version: String::new(),
                sha256: None,
            },
            host,
            banner: None,
            command_line: None,
            build_id: None,
            memory: MachineRecord::default(),
            phys_base: None,
            vmcoreinfo: BTreeMap::new(),
            variables: BTreeMap::new(),
            cpus: Cpus::default(),
            modules: Vec::new(),
            swaps: Vec::new(),
            clocks: Clocks::default(),
            kptr_restrict: None,
            missing: Vec::new(),
            remarks: Vec::new(),
        }
    }
}
