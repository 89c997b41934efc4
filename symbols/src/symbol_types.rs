// SPDX-License-Identifier: MIT OR Apache-2.0
//! The types of the kernel's variables.
//!
//! BTF describes types, but of the variables at most the per-CPU ones. This table has
//! the types of the others in C notation, as the kernel declares them. A variable
//! whose declaration changed over time has a line for each; the first whose type this
//! kernel has counts. `[*]` is an array that reaches to the next symbol.

use crate::base_types::usual_name;
use crate::descriptor::Descriptor;
use crate::kernel_symbols::KernelSymbols;
use crate::names::Names;
use linpmem_kinfo::btf::{BtfError, Kind, TypeRef, Types};
use std::collections::HashMap;

const TABLE: &[(&str, &str)] = &[
    // Tasks, their namespaces and credentials.
    ("init_task", "struct task_struct"),
    ("init_mm", "struct mm_struct"),
    ("init_files", "struct files_struct"),
    ("init_fs", "struct fs_struct"),
    ("init_signals", "struct signal_struct"),
    ("init_sighand", "struct sighand_struct"),
    ("init_cred", "struct cred"),
    ("init_nsproxy", "struct nsproxy"),
    ("init_pid_ns", "struct pid_namespace"),
    ("init_user_ns", "struct user_namespace"),
    ("init_uts_ns", "struct uts_namespace"),
    ("init_ipc_ns", "struct ipc_namespace"),
    ("init_time_ns", "struct time_namespace"),
    ("init_cgroup_ns", "struct cgroup_namespace"),
    ("init_css_set", "struct css_set"),
    ("init_struct_pid", "struct pid"),
    ("init_groups", "struct group_info"),
    ("root_task_group", "struct task_group"),
    ("pid_hash", "struct hlist_head *"),
    ("pidhash_shift", "unsigned int"),
    ("kthreadd_task", "struct task_struct *"),
    ("workqueues", "struct list_head"),
    ("cap_last_cap", "int"),
    ("system_state", "enum system_states"),
    // Addresses and memory.
    ("init_top_pgt", "struct pgd_t[]"),
    ("init_level4_pgt", "struct pgd_t[]"),
    ("early_top_pgt", "struct pgd_t[512]"),
    ("level3_kernel_pgt", "struct pud_t[512]"),
    ("level2_kernel_pgt", "struct pmd_t[512]"),
    ("phys_base", "unsigned long"),
    ("page_offset_base", "unsigned long"),
    ("vmalloc_base", "unsigned long"),
    ("vmemmap_base", "unsigned long"),
    ("pgdir_shift", "unsigned int"),
    ("ptrs_per_p4d", "unsigned int"),
    ("__pgtable_l5_enabled", "unsigned int"),
    ("swapper_pg_dir", "struct pgd_t[]"),
    ("memstart_addr", "long long"),
    ("kimage_voffset", "unsigned long long"),
    ("vabits_actual", "unsigned long long"),
    ("max_pfn", "unsigned long"),
    ("max_low_pfn", "unsigned long"),
    ("min_low_pfn", "unsigned long"),
    ("high_memory", "void *"),
    ("mem_section", "struct mem_section **"),
    ("node_data", "struct pglist_data *[]"),
    ("contig_page_data", "struct pglist_data"),
    ("slab_caches", "struct list_head"),
    ("vmap_area_list", "struct list_head"),
    ("vmap_area_root", "struct rb_root"),
    ("swap_info", "struct swap_info_struct *[]"),
    ("nr_swapfiles", "unsigned int"),
    ("iomem_resource", "struct resource"),
    ("ioport_resource", "struct resource"),
    ("e820_table", "struct e820_table *"),
    ("memblock", "struct memblock"),
    ("_totalram_pages", "struct atomic64_t"),
    // Processors.
    ("__per_cpu_offset", "unsigned long[]"),
    ("__cpu_online_mask", "struct cpumask"),
    ("__cpu_possible_mask", "struct cpumask"),
    ("__cpu_present_mask", "struct cpumask"),
    ("nr_cpu_ids", "unsigned int"),
    ("boot_cpu_data", "struct cpuinfo_x86"),
    ("idt_table", "struct gate_desc[256]"),
    ("idt_descr", "struct desc_ptr"),
    ("sys_call_table", "function *[]"),
    ("ia32_sys_call_table", "function *[]"),
    ("x32_sys_call_table", "function *[]"),
    // The log, the banner and the command line.
    ("linux_banner", "char[]"),
    ("linux_proc_banner", "char[]"),
    ("saved_command_line", "char *"),
    ("boot_command_line", "char[2048]"),
    ("prb", "struct printk_ringbuffer *"),
    ("printk_rb_static", "struct printk_ringbuffer"),
    ("printk_rb_dynamic", "struct printk_ringbuffer"),
    ("log_buf", "char *"),
    ("log_buf_len", "unsigned int"),
    ("log_first_idx", "unsigned int"),
    ("log_next_idx", "unsigned int"),
    ("log_first_seq", "unsigned long long"),
    ("log_next_seq", "unsigned long long"),
    ("clear_seq", "struct latched_seq"),
    ("console_drivers", "struct console *"),
    ("console_list", "struct hlist_head"),
    // Time.
    ("jiffies", "unsigned long"),
    ("jiffies_64", "unsigned long long"),
    ("tk_core", "struct tk_data"),
    ("tk_core", "struct {seq, timekeeper}"),
    ("timekeeper", "struct timekeeper"),
    ("wall_to_monotonic", "struct timespec64"),
    ("wall_to_monotonic", "struct timespec"),
    ("total_sleep_time", "struct timespec64"),
    ("total_sleep_time", "struct timespec"),
    ("clocksource_list", "struct list_head"),
    // Modules and kallsyms.
    ("modules", "struct list_head"),
    ("module_kset", "struct kset *"),
    ("mod_tree", "struct mod_tree_root"),
    ("module_addr_min", "unsigned long"),
    ("module_addr_max", "unsigned long"),
    ("kallsyms_addresses", "unsigned long[]"),
    ("kallsyms_offsets", "int[]"),
    ("kallsyms_relative_base", "unsigned long"),
    ("kallsyms_num_syms", "unsigned int"),
    ("kallsyms_names", "unsigned char[]"),
    ("kallsyms_markers", "unsigned int[]"),
    ("kallsyms_token_table", "char[]"),
    ("kallsyms_token_index", "unsigned short[]"),
    ("kallsyms_seqs_of_names", "unsigned char[]"),
    ("taint_flags", "struct taint_flag[*]"),
    ("__start___ksymtab", "struct kernel_symbol[]"),
    ("__stop___ksymtab", "struct kernel_symbol[]"),
    ("__start___ksymtab_gpl", "struct kernel_symbol[]"),
    ("__stop___ksymtab_gpl", "struct kernel_symbol[]"),
    // BPF programs and tracing.
    ("prog_idr", "struct idr"),
    ("map_idr", "struct idr"),
    ("link_idr", "struct idr"),
    ("btf_idr", "struct idr"),
    ("bpf_kallsyms", "struct list_head"),
    ("ftrace_ops_list", "struct ftrace_ops *"),
    ("ftrace_list_end", "struct ftrace_ops"),
    ("ftrace_ops_trampoline_list", "struct list_head"),
    ("ftrace_mod_maps", "struct list_head"),
    ("__start___tracepoints_ptrs", "int[]"),
    ("__stop___tracepoints_ptrs", "int[]"),
    ("kprobe_table", "struct hlist_head[64]"),
    // Files and file systems.
    ("super_blocks", "struct list_head"),
    ("formats", "struct list_head"),
    ("mount_hashtable", "struct hlist_head *"),
    ("inode_hashtable", "struct hlist_head *"),
    ("dentry_hashtable", "struct hlist_bl_head *"),
    ("socket_file_ops", "struct file_operations"),
    ("sockfs_dentry_operations", "struct dentry_operations"),
    ("pipefifo_fops", "struct file_operations"),
    ("shmem_aops", "struct address_space_operations"),
    ("shmem_swaplist", "struct list_head"),
    ("proc_root", "struct proc_dir_entry"),
    ("sysfs_root_kn", "struct kernfs_node *"),
    ("block_class", "struct class"),
    ("cdev_map", "struct kobj_map *"),
    // Devices.
    ("tty_drivers", "struct list_head"),
    ("keyboard_notifier_list", "struct atomic_notifier_head"),
    ("vt_notifier_list", "struct atomic_notifier_head"),
    ("registered_fb", "struct fb_info *[32]"),
    ("num_registered_fb", "int"),
    ("bus_kset", "struct kset *"),
    ("class_kset", "struct kset *"),
    ("devices_kset", "struct kset *"),
    ("pci_root_buses", "struct list_head"),
    ("input_dev_list", "struct list_head"),
    ("input_handler_list", "struct list_head"),
    ("panic_notifier_list", "struct atomic_notifier_head"),
    ("reboot_notifier_list", "struct blocking_notifier_head"),
    ("module_notify_list", "struct blocking_notifier_head"),
    // Networks.
    ("init_net", "struct net"),
    ("net_namespace_list", "struct list_head"),
    ("dev_base_head", "struct list_head"),
    ("inet_protos", "struct net_protocol *[256]"),
    ("net_families", "struct net_proto_family *[]"),
    ("proto_list", "struct list_head"),
    ("ptype_all", "struct list_head"),
    ("ptype_base", "struct list_head[16]"),
    ("tcp_hashinfo", "struct inet_hashinfo"),
    ("udp_table", "struct udp_table"),
    ("raw_v4_hashinfo", "struct raw_hashinfo"),
    ("tcp_prot", "struct proto"),
    ("udp_prot", "struct proto"),
    ("raw_prot", "struct proto"),
    ("tcpv6_prot", "struct proto"),
    ("udpv6_prot", "struct proto"),
    ("inet_stream_ops", "struct proto_ops"),
    ("inet_dgram_ops", "struct proto_ops"),
    ("unix_stream_ops", "struct proto_ops"),
    ("unix_dgram_ops", "struct proto_ops"),
    ("tcp4_seq_afinfo", "struct tcp_seq_afinfo"),
    ("tcp6_seq_afinfo", "struct tcp_seq_afinfo"),
    ("udp4_seq_afinfo", "struct udp_seq_afinfo"),
    ("udp6_seq_afinfo", "struct udp_seq_afinfo"),
    ("udplite4_seq_afinfo", "struct udp_seq_afinfo"),
    ("udplite6_seq_afinfo", "struct udp_seq_afinfo"),
    ("tcp4_seq_ops", "struct seq_operations"),
    ("tcp6_seq_ops", "struct seq_operations"),
    ("udp_seq_ops", "struct seq_operations"),
    ("udp6_seq_ops", "struct seq_operations"),
    ("raw_seq_ops", "struct seq_operations"),
    ("raw6_seq_ops", "struct seq_operations"),
    ("unix_seq_ops", "struct seq_operations"),
    ("arp_seq_ops", "struct seq_operations"),
    ("packet_seq_ops", "struct seq_operations"),
    ("nf_hooks", "struct list_head[][]"),
    ("nf_hooks_ingress", "struct nf_hook_entries *"),
    ("nf_loggers", "struct nf_logger *[][]"),
];

/// Symbols that the linker defines: they have no type, but Volatility needs their
/// addresses.
const MARKS: &[&str] = &[
    "_text",
    "_stext",
    "_etext",
    "_sdata",
    "_edata",
    "_end",
    "_sinittext",
    "_einittext",
    "__bss_start",
    "__bss_stop",
    "__init_begin",
    "__init_end",
    "__start_rodata",
    "__end_rodata",
    "__per_cpu_start",
    "__per_cpu_end",
    "__brk_base",
    "__brk_limit",
    "__kprobes_text_start",
    "__kprobes_text_end",
    "__entry_text_start",
    "__entry_text_end",
];

/// The types of the symbols in the table, and of those that BTF describes itself.
#[derive(Debug)]
pub(crate) struct SymbolTypes<'a> {
    known: HashMap<&'a str, Descriptor>,
}

impl<'a> SymbolTypes<'a> {
    pub(crate) fn of(
        types: &Types<'a>,
        names: &Names<'a>,
        symbols: &KernelSymbols<'_>,
    ) -> Result<Self, BtfError> {
        let mut known: HashMap<&'a str, Descriptor> = HashMap::new();
        for &(symbol, notation) in TABLE {
            if known.contains_key(symbol) {
                continue;
            }
            if let Some(element) = notation.strip_suffix("[*]") {
                let element = described(types, names, element)?;
                let room = symbols.room(symbol);
                if let Some((element, room)) = element.zip(room) {
                    let size = size_of(types, names, &element)?;
                    // A type of no bytes fills any room.
                    let count = room.checked_div(size).unwrap_or(0);
                    known.insert(symbol, Descriptor::array_of(count, element));
                }
            } else if let Some(descriptor) = described(types, names, notation)? {
                known.insert(symbol, descriptor);
            }
        }
        for &mark in MARKS {
            known.insert(mark, Descriptor::array_of(0, Descriptor::base("char")));
        }
        for type_ref in types.refs() {
            let (name, kind) = types.get(type_ref)?;
            if let Kind::Variable(_) = kind {
                known.insert(name, Descriptor::of(types, names, type_ref)?);
            }
        }
        Ok(Self { known })
    }

    /// The type of the symbol `name`, if it is known.
    pub(crate) fn find(&self, name: &str) -> Option<&Descriptor> {
        self.known.get(name)
    }
}

/// The bytes of a struct; 0 for anything else.
fn size_of(types: &Types<'_>, names: &Names<'_>, element: &Descriptor) -> Result<u32, BtfError> {
    let Descriptor::Struct { name } = element else {
        return Ok(0);
    };
    let kind = names.find(name).map(|type_ref| types.get(type_ref));
    Ok(match kind.transpose()? {
        Some((_, Kind::Composite { size, .. })) => size,
        _ => 0,
    })
}

/// The type that `notation` describes; `None` if this kernel has no such type.
fn described(
    types: &Types<'_>,
    names: &Names<'_>,
    notation: &str,
) -> Result<Option<Descriptor>, BtfError> {
    if let Some(rest) = notation.strip_suffix(']') {
        let Some((element, count)) = rest.rsplit_once('[') else {
            return Ok(None);
        };
        // In `x[2][3]` the last brackets are the inner array's; no line has both counts.
        let count = match count {
            "" => 0,
            digits => match digits.parse() {
                Ok(count) => count,
                Err(_) => return Ok(None),
            },
        };
        let element = described(types, names, element)?;
        return Ok(element.map(|element| Descriptor::array_of(count, element)));
    }
    if let Some(rest) = notation.strip_suffix('*') {
        let target = described(types, names, rest.trim_end())?;
        return Ok(target.map(Descriptor::pointer_to));
    }
    if let Some(members) = notation.strip_prefix("struct {") {
        let members: Vec<&str> = members.trim_end_matches('}').split(", ").collect();
        let found = unnamed_with(types, &members)?;
        return found
            .map(|type_ref| Descriptor::of(types, names, type_ref))
            .transpose();
    }
    if let Some((_, name)) = notation
        .split_once(' ')
        .filter(|(word, _)| ["struct", "enum"].contains(word))
    {
        let Some(type_ref) = names.find(name) else {
            return Ok(None);
        };
        // By the name in the table, even if it is a typedef.
        let (_, kind) = types.get(type_ref)?;
        let name = name.to_owned();
        return Ok(match kind {
            Kind::Composite {
                is_union: false, ..
            } => Some(Descriptor::Struct { name }),
            Kind::Composite { .. } => Some(Descriptor::Union { name }),
            Kind::Enum { .. } => Some(Descriptor::Enum { name }),
            _ => None,
        });
    }
    Ok(Some(plain(notation)))
}

/// A type that every kernel has.
fn plain(notation: &str) -> Descriptor {
    match notation {
        "function" => Descriptor::Function,
        name => Descriptor::base(usual_name(name)),
    }
}

/// The unnamed struct that begins with these members.
fn unnamed_with(types: &Types<'_>, wanted: &[&str]) -> Result<Option<TypeRef>, BtfError> {
    for type_ref in types.refs() {
        let (name, kind) = types.get(type_ref)?;
        let Kind::Composite {
            is_union: false,
            members,
            ..
        } = kind
        else {
            continue;
        };
        if !name.is_empty() {
            continue;
        }
        let mut is_it = true;
        let mut found = members.iter();
        for wanted in wanted {
            let member = found.next();
            let text = member.map(|member| types.text(type_ref.set, member.name));
            is_it &= text.transpose()? == Some(wanted);
        }
        if is_it {
            return Ok(Some(type_ref));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_types::ALWAYS;

    #[test]
    fn each_line_is_written_once() {
        for (number, line) in TABLE.iter().enumerate() {
            let rest = TABLE.iter().skip(number + 1);
            assert!(!rest.clone().any(|other| other == line), "{line:?}");
            assert!(!MARKS.contains(&line.0), "{line:?}");
        }
    }

    /// A file that names a type and does not describe it is invalid.
    #[test]
    fn every_plain_type_is_one_that_each_file_has() {
        for (symbol, notation) in TABLE {
            let element = notation.split('[').next().unwrap();
            let element = element.trim_end_matches([' ', '*']);
            if element.starts_with("struct ") || element.starts_with("enum ") {
                continue;
            }
            let name = match plain(element) {
                Descriptor::Function => continue,
                Descriptor::Base { name } => name,
                other => panic!("{symbol}: {other:?}"),
            };
            let is_there = ALWAYS.iter().any(|known| known.0 == name);
            assert!(is_there, "{symbol}: {name}");
        }
    }

    #[test]
    fn counts_of_arrays_are_numbers() {
        for (symbol, notation) in TABLE {
            for count in notation.split('[').skip(1) {
                let count = count.strip_suffix(']').unwrap();
                let is_number = count.bytes().all(|digit| digit.is_ascii_digit());
                assert!(is_number || count == "*", "{symbol}: {notation}");
            }
        }
    }
}
