// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What the prebuilt module must be told about the kernel that it is fitted to.
//!
//! That module is compiled once, without any kernel's headers. What differs between
//! kernels stands in this table in its data, which `linpmem-fit` fills in.

/// A fact that this kernel does not have, or has no need of.
pub const ABSENT: u32 = u32::MAX;

/// What [`Layout::version`] is in a module that was fitted, and in one that was not: 0.
pub const LAYOUT_VERSION: u32 = 1;

/// The name of the table's symbol in the prebuilt object.
pub const LAYOUT_SYMBOL: &str = "linpmem_layout";

/// The name of the symbol, in the prebuilt object, of room for the release of the kernel that
/// the module is fitted to: [`RELEASE_ROOM`] bytes that end with zeros. Where the kernel checks
/// its imports by sums, it does not compare releases, and the sums do not cover the layouts.
pub const RELEASE_SYMBOL: &str = "linpmem_release";

/// The longest release, and a zero (__NEW_UTS_LEN + 1).
pub const RELEASE_ROOM: usize = 65;

/// The section of the prebuilt object with the places that may fault. The third word of
/// each entry, which differs between kernels, is one of [`FAULT`] and [`USER_ACCESS`].
pub const FAULTS_SECTION: &str = "__ex_table";

/// A load of memory that may fault or be poisoned; the trap's number goes to `eax`.
pub const FAULT: u32 = 1;
/// An access to the caller's memory.
pub const USER_ACCESS: u32 = 2;

/// The largest structs for which the prebuilt module has room, in bytes.
pub const FILE_OPERATIONS_ROOM: usize = 512;
/// As above, for `struct miscdevice`.
pub const MISCDEVICE_ROOM: usize = 256;

/// Enumerators that the module is compiled with, because they are the same on all kernels:
/// fitting compares them with the kernel's.
pub const ENUMERATORS: [(&str, u32); 5] = [
    ("MEMREMAP_WB", MEMREMAP_WB),
    ("PG_LEVEL_4K", PG_LEVEL_4K),
    ("PIDTYPE_PID", PIDTYPE_PID),
    ("REGION_DISJOINT", REGION_DISJOINT),
    ("XEN_PV_DOMAIN", XEN_PV_DOMAIN),
];

/// Memory is to be mapped write-back (include/linux/io.h).
pub const MEMREMAP_WB: u32 = 1;
/// A page-table entry that maps 4 KiB (arch/x86/include/asm/pgtable_types.h).
pub const PG_LEVEL_4K: u32 = 1;
/// The number is that of a process (include/linux/pid_types.h).
pub const PIDTYPE_PID: u32 = 0;
/// No entry of the resource tree touches the range (include/linux/mm.h).
pub const REGION_DISJOINT: u32 = 1;
/// A paravirtual guest of Xen (include/xen/xen.h).
pub const XEN_PV_DOMAIN: u32 = 1;

macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident,)+) => {
        /// The facts. Offsets and sizes are in bytes.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Layout {
            $($(#[$doc])* pub $field: u32,)+
        }

        impl Layout {
            /// The names of the fields, in order.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),+];

            /// The table of a module that was not fitted.
            pub const UNFITTED: Self = Self { $($field: 0,)+ };

            /// The values of the fields, in order.
            #[must_use]
            pub const fn values(&self) -> [u32; Self::FIELDS.len()] {
                [$(self.$field),+]
            }
        }
    };
}

layout! {
    /// [`LAYOUT_VERSION`].
    version,

    /// `struct file`, private_data.
    file_private_data,
    /// `struct file_operations`, its size.
    fops_size,
    /// owner.
    fops_owner,
    /// llseek.
    fops_llseek,
    /// read.
    fops_read,
    /// unlocked_ioctl.
    fops_unlocked_ioctl,
    /// compat_ioctl, or [`ABSENT`].
    fops_compat_ioctl,
    /// open.
    fops_open,
    /// `struct miscdevice`, its size.
    misc_size,
    /// minor, an int.
    misc_minor,
    /// name.
    misc_name,
    /// fops.
    misc_fops,
    /// mode, of 16 bits.
    misc_mode,
    /// `struct notifier_block`, notifier_call. The struct has at most 32 bytes.
    notifier_call,
    /// The value of MEM_OFFLINE: an enumerator of `enum memory_block_state` on new
    /// kernels, 4 on those that have a macro.
    mem_offline,

    /// `struct resource`, start, of 64 bits.
    resource_start,
    /// end, of 64 bits.
    resource_end,
    /// flags, of 64 bits.
    resource_flags,
    /// desc, of 32 bits.
    resource_desc,
    /// IORES_DESC_NONE.
    desc_none,
    /// IORES_DESC_RESERVED.
    desc_reserved,
    /// IORES_DESC_ACPI_TABLES.
    desc_acpi_tables,
    /// IORES_DESC_ACPI_NV_STORAGE.
    desc_acpi_nv_storage,

    /// `struct page`, its size.
    page_size,
    /// flags, of 64 bits.
    page_flags,
    /// The word whose bit 0 says that this is a page within a larger one: compound_head,
    /// or compound_info.
    page_compound,
    /// page_type, of 32 bits.
    page_type,
    /// The number of the flag PG_hwpoison, or [`ABSENT`].
    poisoned_bit,
    /// A page is offline if its page_type in these bits has the value `offline_type`.
    offline_mask,
    /// See `offline_mask`.
    offline_type,
    /// A page is unaccepted if its page_type in these bits has the value
    /// `unaccepted_type`; 0 if the kernel has no such pages.
    unaccepted_mask,
    /// See `unaccepted_mask`.
    unaccepted_type,
    /// `struct mem_section`, its size. Needed only where the kernel does not export
    /// `pfn_to_online_page`, else [`ABSENT`]. `mem_section` is then a table of pointers to
    /// pages of such structs.
    section_size,
    /// section_mem_map, of 64 bits, in which bit 2 says that the section is online.
    section_mem_map,

    /// `struct efi`, unaccepted, of 64 bits; [`ABSENT`] if this kernel knows of none.
    efi_unaccepted,
    /// `struct efi_unaccepted_memory`, unit_size, of 32 bits.
    unaccepted_unit_size,
    /// phys_base, of 64 bits.
    unaccepted_phys_base,
    /// size, of 64 bits.
    unaccepted_size,
    /// bitmap, an array of 64-bit words.
    unaccepted_bitmap,

    /// `struct task_struct`, usage, a counter of 32 bits.
    task_usage,
    /// cred.
    task_cred,
    /// pagefault_disabled, an int.
    task_pagefault_disabled,
    /// pending.signal, of 64 bits.
    task_pending,
    /// blocked, of 64 bits.
    task_blocked,
    /// signal.
    task_signal,
    /// `struct signal_struct`, shared_pending.signal, of 64 bits.
    signal_shared_pending,
    /// `struct cred`, euid, of 32 bits.
    cred_euid,
    /// `struct mm_struct`, pgd.
    mm_pgd,
    /// Where the current task's pointer lies behind the per-CPU symbol: 0 for
    /// `current_task`, the member's offset for `pcpu_hot`.
    current_offset,

    /// `struct cpuinfo_x86`, x86_phys_bits, of 8 bits.
    cpu_phys_bits,
    /// x86_capability, an array of 32-bit words.
    cpu_capability,
    /// LOCKDOWN_DEV_MEM.
    lockdown_dev_mem,
    /// CC_ATTR_GUEST_MEM_ENCRYPT, or [`ABSENT`].
    cc_guest_mem_encrypt,
    /// The size of the VMCOREINFO note.
    vmcoreinfo_len,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_its_fields_in_order_and_nothing_else() {
        assert_eq!(size_of::<Layout>(), Layout::FIELDS.len() * size_of::<u32>());
        let mut layout = Layout::UNFITTED;
        layout.version = 1;
        layout.vmcoreinfo_len = 2;
        let values = layout.values();
        assert_eq!((values.first(), values.last()), (Some(&1), Some(&2)));
        assert_eq!(Layout::FIELDS.first(), Some(&"version"));
    }
}
