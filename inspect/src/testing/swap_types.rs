// SPDX-License-Identifier: MIT OR Apache-2.0
//! The types of a kernel with swap.

use super::{Btf, MemberOf, Of};

const INFO: [MemberOf; 6] = [
    ("flags", Of::Number(8), 0),
    ("type", Of::Signed(1), 8),
    ("max", Of::Number(4), 12),
    ("pages", Of::Number(4), 16),
    ("swap_file", Of::Pointer("file"), 24),
    ("cluster_info", Of::Number(8), 32),
];

/// As since Linux 6.18.
pub fn swap_tables(btf: &mut Btf) {
    common(btf);
    btf.structure("swap_info_struct", 128, &INFO)
        .structure("swap_table", 4096, &[("entries", Of::Numbers(8, 512), 0)])
        .structure(
            "swap_cluster_info",
            64,
            &[
                ("table", Of::Number(8), 8),
                ("extend_table", Of::Number(8), 16),
            ],
        );
}

/// As before that, and since Linux 6.12.
pub fn swap_trees(btf: &mut Btf) {
    common(btf);
    let maps = [
        ("swap_map", Of::Number(8), 40),
        ("zeromap", Of::Number(8), 48),
    ];
    btf.structure("swap_info_struct", 128, &[&INFO[..], &maps].concat())
        .structure("swap_cluster_info", 64, &[("count", Of::Number(2), 0)])
        .structure("address_space", 16, &[("i_pages", Of::Struct("xarray"), 0)]);
}

fn common(btf: &mut Btf) {
    btf.structure(
        "page",
        64,
        &[("flags", Of::Number(8), 0), ("private", Of::Number(8), 40)],
    )
    .structure("zswap_entry", 8, &[("length", Of::Number(4), 0)])
    .enumeration(
        "pageflags",
        &[("PG_locked", 0), ("PG_writeback", 1), ("PG_uptodate", 3)],
    );
}
