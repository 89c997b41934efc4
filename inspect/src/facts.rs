// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel says about itself, besides its memory.

use linpmem_kinfo::kallsyms::Symbol;
use std::collections::BTreeMap;

/// The symbols that every kernel has.
const WANTED: [&str; 5] = ["init_pid_ns", "init_task", "linux_banner", "modules", "prb"];
/// Those that only some kernels have: without the network, IPv6 or swap there are fewer, and others
/// came and went with the kernel's versions.
const OPTIONAL: [&str; 12] = [
    "net_namespace_list",
    "nr_zswap_trees",
    "raw_v4_hashinfo",
    "raw_v6_hashinfo",
    "swap_info",
    "swapper_spaces",
    "tcp_hashinfo",
    "udp_table",
    "unix_socket_table",
    "vmemmap_base",
    "zswap_enabled",
    "zswap_trees",
];

/// Those that some checks and names need.
const USEFUL: [&str; 6] = [
    "__per_cpu_offset",
    "_etext",
    "_stext",
    "runqueues",
    "special_mapping_vmops",
    "sysctl_bootid",
];

/// What each processor has a copy of is linked from 0 on by x86-64's kernels up to 6.14, and is not
/// moved with the kernel.
const END_OF_COPIES: u64 = 1 << 32;

/// What was kept with an image.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The text of VMCOREINFO.
    pub vmcoreinfo: &'a [u8],
    /// The kernel's types, as in /sys/kernel/btf/vmlinux.
    pub btf: &'a [u8],
    /// Its symbols.
    pub symbols: Symbols,
}

/// The addresses of the few kernel variables that everything here begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    addresses: BTreeMap<&'static str, u64>,
}

impl Symbols {
    /// Takes the address of `symbol`, moved by `offset`, if it is one of these variables.
    pub fn see(&mut self, symbol: &Symbol<'_>, offset: u64) {
        if symbol.address == 0 || symbol.module.is_some() {
            return;
        }
        let mut known = WANTED.iter().chain(&OPTIONAL).chain(&USEFUL);
        if let Some(name) = known.find(|name| **name == symbol.name) {
            let offset = match symbol.address < END_OF_COPIES {
                true => 0,
                false => offset,
            };
            let address = symbol.address.wrapping_add(offset);
            self.addresses.entry(name).or_insert(address);
        }
    }

    /// Whether all of those that every kernel has were seen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        WANTED.iter().all(|name| self.addresses.contains_key(name))
    }

    /// The address of the variable `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.addresses.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_kinfo::kallsyms::Lines;

    #[test]
    fn only_the_kernels_own_variables_with_addresses_are_kept() {
        let text = b"0000000000000000 D init_task\nffffffffc0000000 d modules\t[odd]\n\
            0000000000031e40 A runqueues\n\
            ffffffff82000000 D init_task\nffffffff82000008 d prb\nffffffff82000010 T printk\n";
        let mut symbols = Symbols::default();
        for symbol in Lines::new(text) {
            symbols.see(&symbol.unwrap(), 0x100_0000);
        }
        assert_eq!(symbols.get("init_task"), Some(0xffff_ffff_8300_0000));
        assert_eq!(symbols.get("prb"), Some(0xffff_ffff_8300_0008));
        // What each processor has a copy of is not moved.
        assert_eq!(symbols.get("runqueues"), Some(0x3_1e40));
        assert_eq!(symbols.get("modules"), None);
        assert_eq!(symbols.get("printk"), None);
        assert!(!symbols.is_complete());
        for name in WANTED {
            let line = format!("ffffffff82000000 D {name}");
            symbols.see(&Symbol::parse(line.as_bytes()).unwrap(), 0);
        }
        assert!(symbols.is_complete());
        // Those that not every kernel has are not missed, and taken.
        for name in OPTIONAL {
            assert_eq!(symbols.get(name), None);
            let line = format!("ffffffff82000000 D {name}");
            symbols.see(&Symbol::parse(line.as_bytes()).unwrap(), 0);
            assert_eq!(symbols.get(name), Some(0xffff_ffff_8200_0000));
        }
        // What kallsyms said first holds.
        assert_eq!(symbols.get("prb"), Some(0xffff_ffff_8300_0008));
    }
}
