// SPDX-License-Identifier: MIT OR Apache-2.0
//! The types of a kernel with open files and sockets.

use super::{Btf, MemberOf, Of};

/// Adds the types of files, their names and their file systems.
pub fn file_types(btf: &mut Btf) {
    btf.structure("qstr", 16, &[("name", Of::Pointer("char"), 8)])
        .structure("hlist_bl_node", 16, &[("pprev", Of::Number(8), 8)])
        .structure(
            "dentry",
            64,
            &[
                ("d_parent", Of::Pointer("dentry"), 0),
                ("d_name", Of::Struct("qstr"), 8),
                ("d_hash", Of::Struct("hlist_bl_node"), 24),
                ("d_inode", Of::Pointer("inode"), 40),
            ],
        )
        .structure(
            "vfsmount",
            24,
            &[
                ("mnt_root", Of::Pointer("dentry"), 0),
                ("mnt_sb", Of::Pointer("super_block"), 8),
                ("mnt_flags", Of::Number(4), 16),
            ],
        )
        .structure(
            "mount",
            96,
            &[
                ("mnt_parent", Of::Pointer("mount"), 0),
                ("mnt_mountpoint", Of::Pointer("dentry"), 8),
                ("mnt", Of::Struct("vfsmount"), 16),
                ("mnt_mounts", Of::Struct("list_head"), 40),
                ("mnt_child", Of::Struct("list_head"), 56),
                ("mnt_devname", Of::Pointer("char"), 72),
                ("mnt_id", Of::Signed(4), 80),
            ],
        )
        .structure(
            "mnt_namespace",
            32,
            &[
                ("ns", Of::Struct("ns_common"), 0),
                ("root", Of::Pointer("mount"), 16),
            ],
        )
        .structure(
            "nsproxy",
            16,
            &[("mnt_ns", Of::Pointer("mnt_namespace"), 8)],
        )
        .structure(
            "path",
            16,
            &[
                ("mnt", Of::Pointer("vfsmount"), 0),
                ("dentry", Of::Pointer("dentry"), 8),
            ],
        )
        .structure(
            "file",
            64,
            &[
                ("f_mode", Of::Number(4), 0),
                ("f_flags", Of::Number(4), 4),
                ("f_inode", Of::Pointer("inode"), 8),
                ("f_path", Of::Struct("path"), 16),
                ("f_pos", Of::Signed(8), 32),
                ("private_data", Of::Number(8), 40),
            ],
        )
        .structure(
            "inode",
            64,
            &[
                ("i_mode", Of::Number(2), 0),
                ("i_rdev", Of::Number(4), 4),
                ("i_ino", Of::Number(8), 8),
                ("i_size", Of::Signed(8), 16),
                ("i_sb", Of::Pointer("super_block"), 24),
                ("i_private", Of::Number(8), 32),
            ],
        )
        .structure(
            "super_block",
            32,
            &[
                ("s_dev", Of::Number(4), 0),
                ("s_type", Of::Pointer("file_system_type"), 8),
                ("s_flags", Of::Number(8), 16),
                ("s_subtype", Of::Pointer("char"), 24),
            ],
        )
        .structure("file_system_type", 8, &[("name", Of::Pointer("char"), 0)])
        .structure(
            "ns_common",
            16,
            &[
                ("ops", Of::Pointer("proc_ns_operations"), 0),
                ("inum", Of::Number(4), 8),
            ],
        )
        .structure("proc_ns_operations", 8, &[("name", Of::Pointer("char"), 0)])
        .structure(
            "fdtable",
            16,
            &[("max_fds", Of::Number(4), 0), ("fd", Of::Number(8), 8)],
        )
        .structure("files_struct", 16, &[("fdt", Of::Pointer("fdtable"), 8)])
        .structure(
            "fs_struct",
            32,
            &[
                ("root", Of::Struct("path"), 0),
                ("pwd", Of::Struct("path"), 16),
            ],
        );
}

pub(super) fn socket_types(btf: &mut Btf) {
    btf.structure(
        "socket",
        32,
        &[("file", Of::Number(8), 8), ("sk", Of::Pointer("sock"), 16)],
    )
    .structure(
        "socket_alloc",
        96,
        &[
            ("socket", Of::Struct("socket"), 0),
            ("vfs_inode", Of::Struct("inode"), 32),
        ],
    )
    .structure("possible_net_t", 8, &[("net", Of::Pointer("net"), 0)])
    .structure("in6_addr", 16, &[])
    .structure(
        "sock_common",
        128,
        &[
            ("skc_daddr", Of::Number(4), 0),
            ("skc_rcv_saddr", Of::Number(4), 4),
            ("skc_dport", Of::Number(2), 12),
            ("skc_num", Of::Number(2), 14),
            ("skc_family", Of::Number(2), 16),
            ("skc_state", Of::Number(1), 18),
            ("skc_bound_dev_if", Of::Signed(4), 20),
            ("skc_net", Of::Struct("possible_net_t"), 24),
            ("skc_v6_daddr", Of::Struct("in6_addr"), 32),
            ("skc_v6_rcv_saddr", Of::Struct("in6_addr"), 48),
            ("skc_node", Of::Struct("hlist_node"), 64),
            ("skc_nulls_node", Of::Struct("hlist_node"), 64),
        ],
    )
    .structure(
        "sock",
        192,
        &[
            ("__sk_common", Of::Struct("sock_common"), 0),
            // As before Linux 5.6.
            ("sk_protocol", Of::Bits(8), 128 * 8 + 8),
            ("sk_type", Of::Bits(16), 128 * 8 + 16),
            ("sk_uid", Of::Struct("kuid_t"), 136),
            ("sk_socket", Of::Pointer("socket"), 144),
        ],
    )
    .structure(
        "inet_timewait_sock",
        144,
        &[("tw_substate", Of::Number(1), 128)],
    )
    .structure(
        "unix_sock",
        208,
        &[
            ("addr", Of::Pointer("unix_address"), 192),
            ("peer", Of::Pointer("sock"), 200),
        ],
    )
    .structure(
        "unix_address",
        8,
        &[
            ("len", Of::Signed(4), 4),
            ("name", Of::Array("sockaddr_un", 0), 8),
        ],
    )
    .structure(
        "sockaddr_un",
        110,
        &[("sun_path", Of::Array("char", 108), 2)],
    )
    .structure(
        "netlink_sock",
        200,
        &[
            ("portid", Of::Number(4), 192),
            ("dst_portid", Of::Number(4), 196),
        ],
    )
    .structure(
        "packet_sock",
        200,
        &[("ifindex", Of::Signed(4), 192), ("num", Of::Number(2), 196)],
    );
}

/// `hashinfo` are the members of the TCP tables that kernels differ in, from byte 12 on.
pub(super) fn table_types(btf: &mut Btf, hashinfo: &[MemberOf]) {
    let tcp = [
        ("ehash", Of::Number(8), 0),
        ("ehash_mask", Of::Number(4), 8),
    ];
    btf.structure("inet_hashinfo", 96, &[&tcp[..], hashinfo].concat())
        .structure(
            "inet_ehash_bucket",
            8,
            &[("chain", Of::Struct("hlist_head"), 0)],
        )
        .structure(
            "inet_listen_hashbucket",
            16,
            &[("nulls_head", Of::Struct("hlist_head"), 8)],
        )
        .structure(
            "udp_table",
            16,
            &[("hash", Of::Number(8), 0), ("mask", Of::Number(4), 8)],
        )
        .structure("udp_hslot", 16, &[("head", Of::Struct("hlist_head"), 0)])
        .structure("raw_hashinfo", 24, &[("ht", Of::Array("hlist_head", 1), 8)])
        .structure("unix_table", 8, &[("buckets", Of::Number(8), 0)])
        .structure("netns_unix", 8, &[("table", Of::Struct("unix_table"), 0)])
        .structure(
            "netns_packet",
            8,
            &[("sklist", Of::Struct("hlist_head"), 0)],
        )
        .structure(
            "net",
            64,
            &[
                ("list", Of::Struct("list_head"), 0),
                ("ns", Of::Struct("ns_common"), 16),
                ("packet", Of::Struct("netns_packet"), 32),
                ("unx", Of::Struct("netns_unix"), 40),
            ],
        );
}

/// Where kernels have listening TCP sockets since Linux 5.19, and before.
pub(super) const NEW_LISTENING: [MemberOf; 2] = [
    ("lhash2_mask", Of::Number(4), 12),
    ("lhash2", Of::Number(8), 16),
];
pub(super) const OLD_LISTENING: [MemberOf; 3] = [
    ("lhash2_mask", Of::Number(4), 12),
    ("lhash2", Of::Number(8), 16),
    ("listening_hash", Of::Array("inet_listen_hashbucket", 2), 24),
];
