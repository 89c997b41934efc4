// SPDX-License-Identifier: MIT OR Apache-2.0
//! The types of a kernel's mappings, counters, modules and processors.

use super::{Btf, MemberOf, Of};

/// Where a `mm_struct` has the first of its mappings, each of which leads to the next.
pub const CHAIN: MemberOf = ("mmap", Of::Pointer("vm_area_struct"), 24);

const MAPPING: [MemberOf; 9] = [
    ("vm_start", Of::Number(8), 0),
    ("vm_end", Of::Number(8), 8),
    ("vm_next", Of::Pointer("vm_area_struct"), 16),
    ("vm_flags", Of::Number(8), 24),
    ("vm_pgoff", Of::Number(8), 32),
    ("vm_file", Of::Pointer("file"), 40),
    ("vm_ops", Of::Number(8), 48),
    ("vm_private_data", Of::Number(8), 56),
    ("anon_name", Of::Pointer("anon_vma_name"), 64),
];

/// Adds the types of a mapping and of what names it.
pub fn mapping_types(btf: &mut Btf) {
    mapping_types_with(btf, &[("shared", Of::Number(8), 72)]);
}

/// As kernels before Linux 6.2 have them: a file's mapping has something else in place of a name.
pub fn old_mapping_types(btf: &mut Btf) {
    mapping_types_with(btf, &[("shared", Of::Number(8), 64)]);
}

fn mapping_types_with(btf: &mut Btf, more: &[MemberOf]) {
    btf.structure("vm_area_struct", 80, &[&MAPPING, more].concat())
        .structure("vm_special_mapping", 32, &[("name", Of::Number(8), 0)])
        .structure("anon_vma_name", 4, &[("name", Of::Array("char", 0), 4)]);
}

/// Adds both ways in which kernels count the pages of a process.
pub fn counter_types(btf: &mut Btf) {
    btf.structure("atomic64_t", 8, &[("counter", Of::Signed(8), 0)])
        .structure(
            "mm_rss_stat",
            32,
            &[("count", Of::Array("atomic64_t", 4), 0)],
        )
        .structure(
            "percpu_counter",
            16,
            &[("count", Of::Signed(8), 0), ("counters", Of::Number(8), 8)],
        );
}

/// Adds the type of a module; `memory` are the members that kernels differ in, of the type `part`,
/// from byte 96 on.
pub fn module_types(btf: &mut Btf, memory: &[MemberOf]) {
    let members: [MemberOf; 4] = [
        ("state", Of::Number(4), 0),
        ("list", Of::Struct("list_head"), 8),
        ("name", Of::Array("char", 56), 24),
        ("taints", Of::Number(8), 80),
    ];
    btf.structure(
        "part",
        16,
        &[("base", Of::Number(8), 0), ("size", Of::Number(4), 8)],
    )
    .structure("module", 192, &[&members, memory].concat());
}

/// The memory of a module since Linux 6.4.
pub const PARTS: [MemberOf; 1] = [("mem", Of::Array("part", 3), 96)];

/// Adds the type of a processor's run queue.
pub fn queue_types(btf: &mut Btf) {
    btf.structure(
        "rq",
        16,
        &[
            ("cpu", Of::Signed(4), 0),
            ("curr", Of::Pointer("task_struct"), 8),
        ],
    );
}
