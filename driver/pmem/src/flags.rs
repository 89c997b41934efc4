// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flags of page-table entries, by architecture.

use linpmem::Architecture;

/// Those of x86-64 that are shown (Intel SDM volume 3, chapter 4).
const X86_64: [(u64, &str); 8] = [
    (1 << 0, "present"),
    (1 << 1, "write"),
    (1 << 2, "user"),
    (1 << 5, "accessed"),
    (1 << 6, "dirty"),
    (1 << 7, "large"),
    (1 << 8, "global"),
    (1 << 63, "no-execute"),
];

/// Those of an arm64 page or block (Arm ARM, D8.3.1), and Linux's own.
const ARM64_LEAF: [(u64, &str); 9] = [
    (1 << 0, "valid"),
    (1 << 6, "user"),
    (1 << 7, "read-only"),
    (1 << 10, "accessed"),
    (1 << 11, "not-global"),
    (1 << 51, "dirty-managed"),
    (1 << 52, "contiguous"),
    (1 << 53, "kernel-no-execute"),
    (1 << 54, "user-no-execute"),
];

/// Those of an arm64 entry for a table.
const ARM64_TABLE: [(u64, &str); 5] = [
    (1 << 0, "valid"),
    (1 << 59, "kernel-no-execute"),
    (1 << 60, "user-no-execute"),
    (1 << 61, "no-user"),
    (1 << 62, "read-only"),
];

/// The flags of an entry of `level`.
pub fn of(architecture: Architecture, level: &str, value: u64) -> Vec<&'static str> {
    match architecture {
        Architecture::X86_64 => x86_64(level, value),
        Architecture::Arm64 => arm64(level, value),
    }
}

fn x86_64(level: &str, value: u64) -> Vec<&'static str> {
    let is_leaf_only = |name: &str| name == "dirty" || name == "global";
    X86_64
        .into_iter()
        .filter(|(bit, _)| value & bit != 0)
        // Bit 7 of a PTE is the memory type, and some bits mean nothing above a leaf.
        .filter(|(_, name)| !(level == "PTE" && *name == "large"))
        .filter(|(_, name)| {
            let is_leaf = level == "PTE" || value & (1 << 7) != 0;
            is_leaf || !is_leaf_only(name)
        })
        .map(|(_, name)| name)
        .collect()
}

fn arm64(level: &str, value: u64) -> Vec<&'static str> {
    let set = |(bit, name): &(u64, &'static str)| (value & bit != 0).then_some(*name);
    let is_valid = value & 1 != 0;
    let is_table = is_valid && level != "PTE" && value & 2 != 0;
    if is_table {
        return ARM64_TABLE.iter().filter_map(set).collect();
    }
    let mut flags: Vec<_> = ARM64_LEAF.iter().filter_map(set).collect();
    if is_valid && level != "PTE" {
        flags.insert(1, "block");
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_mean_nothing_are_not_shown() {
        let flags = |level, value| of(Architecture::X86_64, level, value);
        assert_eq!(flags("PGD", 0x67), ["present", "write", "user", "accessed"]);
        assert_eq!(
            flags("PMD", 0x1e3),
            ["present", "write", "accessed", "dirty", "large", "global"]
        );
        let leaf = 1 << 63 | 0x80 | 0x61;
        assert_eq!(
            flags("PTE", leaf),
            ["present", "accessed", "dirty", "no-execute"]
        );
    }

    #[test]
    fn arm64_tables_blocks_and_pages_have_their_own_flags() {
        let flags = |level, value| of(Architecture::Arm64, level, value);
        // Bits 6 and 7 of an entry for a table mean nothing.
        assert_eq!(flags("PGD", 0x4000_00c3), ["valid"]);
        assert_eq!(
            flags("PUD", 1 << 59 | 0x4000_0003),
            ["valid", "kernel-no-execute"]
        );
        assert_eq!(
            flags("PMD", 1 << 54 | 0x4020_0781),
            ["valid", "block", "read-only", "accessed", "user-no-execute"]
        );
        assert_eq!(
            flags("PTE", 1 << 52 | 0x4020_0c43),
            ["valid", "user", "accessed", "not-global", "contiguous"]
        );
        assert_eq!(flags("PMD", 0), Vec::<&str>::new());
    }
}
