// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's table of facts, filled in from the kernel's types.

use crate::error::FitError;
use crate::structs::Shape::{self, ArrayOf, Bytes, Low32, Pointer};
use crate::structs::{Structs, layout};
use linpmem_core::layout::{
    ABSENT, ENUMERATORS as COMPILED, FILE_OPERATIONS_ROOM, LAYOUT_VERSION, Layout, MISCDEVICE_ROOM,
};
use linpmem_phys::num::u32_as_usize;

/// The structs that are looked up.
pub(crate) const STRUCTS: &[&str] = &[
    "cpuinfo_x86",
    "cred",
    "efi",
    "efi_unaccepted_memory",
    "exception_table_entry",
    "file",
    "file_operations",
    "kernel_param",
    "mem_section",
    "miscdevice",
    "mm_struct",
    "module",
    "notifier_block",
    "page",
    "pcpu_hot",
    "resource",
    "signal_struct",
    "task_struct",
];

/// The enumerations whose presence matters.
pub(crate) const ENUMS: &[&str] = &["pagetype"];

/// The enumerators that are looked up for the table.
const ENUMERATORS: &[&str] = &[
    "CC_ATTR_GUEST_MEM_ENCRYPT",
    "IORES_DESC_ACPI_NV_STORAGE",
    "IORES_DESC_ACPI_TABLES",
    "IORES_DESC_NONE",
    "IORES_DESC_RESERVED",
    "LOCKDOWN_DEV_MEM",
    "MEM_OFFLINE",
    "PAGE_TYPE_BASE",
    "PGTY_offline",
    "PGTY_unaccepted",
    "PG_hwpoison",
    "PG_offline",
    "PG_unaccepted",
];

/// All enumerators that are looked up.
pub(crate) fn enumerators() -> Vec<&'static str> {
    let compiled = COMPILED.iter().map(|(name, _)| *name);
    ENUMERATORS.iter().copied().chain(compiled).collect()
}

/// Refuses a kernel in which an enumerator is not what the module was compiled with. One
/// that belongs to an export may be missing if nothing `uses` that.
pub(crate) fn check_compiled(
    structs: &Structs<'_>,
    uses: impl Fn(&str) -> bool,
) -> Result<(), FitError> {
    for (name, expected) in COMPILED {
        let found = structs.known_enumerator(name)?;
        let is_unused = name == "XEN_PV_DOMAIN" && !uses("xen_domain_type");
        if found == Some(expected) || (found.is_none() && is_unused) {
            continue;
        }
        let found = found.map_or("nothing".to_owned(), |value| value.to_string());
        let place = format!("the enumerator {name}");
        return Err(layout(place, found, expected.to_string()));
    }
    Ok(())
}

/// `MEM_OFFLINE` of include/linux/memory.h as long as it was a macro.
const MEM_OFFLINE: u32 = 1 << 2;

/// `PAGE_TYPE_BASE` of include/linux/page-flags.h as long as the types of pages were
/// macros.
const PAGE_TYPE_BASE: u32 = 0xf000_0000;
/// `PG_offline` there: the bit is 0 in a page of that type.
const PG_OFFLINE: u32 = 0x0000_0100;

/// Where the number of a type is in `page_type` since there is `PGTY_offline`.
const PGTY_SHIFT: u32 = 24;

/// The most bytes of `struct notifier_block` that the module has room for.
const NOTIFIER_ROOM: u32 = 32;

/// What the layout depends on besides the types.
pub(crate) struct Choices<'a> {
    /// Whether the module walks the sections of memory itself.
    pub(crate) needs_sections: bool,
    /// The per-CPU symbol that leads to the current task.
    pub(crate) current: Option<&'a str>,
    /// The size of the VMCOREINFO note.
    pub(crate) vmcoreinfo_len: u32,
}

/// A type of pages: the bits of `page_type` that tell it, and their value.
struct PageType {
    mask: u32,
    value: u32,
}

/// No page has this type.
const NO_PAGE: PageType = PageType {
    mask: 0,
    value: ABSENT,
};

/// Fills in the table.
pub(crate) fn of(structs: &Structs<'_>, choices: &Choices<'_>) -> Result<Layout, FitError> {
    let at = |name, path, shape| structs.offset(name, path, shape);
    let maybe = |name, path, shape| -> Result<u32, FitError> {
        let found = structs.known_offset(name, path, shape)?;
        Ok(found.unwrap_or(ABSENT))
    };
    let room = |name: &str, room: usize| {
        let size = structs.size(name)?;
        match u32_as_usize(size) <= room {
            true => Ok(size),
            false => Err(layout(
                format!("struct {name}"),
                format!("{size} bytes"),
                format!("at most {room}"),
            )),
        }
    };
    let notifier = structs.size("notifier_block")?;
    if notifier > NOTIFIER_ROOM {
        let found = format!("{notifier} bytes");
        let expected = format!("at most {NOTIFIER_ROOM}");
        return Err(layout("struct notifier_block", found, expected));
    }
    let section = |path: Option<&'static str>| match (choices.needs_sections, path) {
        (false, _) => Ok(ABSENT),
        (true, None) => structs.size("mem_section"),
        (true, Some(path)) => at("mem_section", path, Bytes(8)),
    };
    let efi_unaccepted = maybe("efi", "unaccepted", Bytes(8))?;
    let unaccepted_table = |path, shape| match efi_unaccepted {
        ABSENT => Ok(ABSENT),
        _ => at("efi_unaccepted_memory", path, shape),
    };
    let (offline, unaccepted) = page_types(structs)?;
    Ok(Layout {
        version: LAYOUT_VERSION,
        file_private_data: at("file", "private_data", Pointer)?,
        fops_size: room("file_operations", FILE_OPERATIONS_ROOM)?,
        fops_owner: at("file_operations", "owner", Pointer)?,
        fops_llseek: at("file_operations", "llseek", Pointer)?,
        fops_read: at("file_operations", "read", Pointer)?,
        fops_unlocked_ioctl: at("file_operations", "unlocked_ioctl", Pointer)?,
        fops_compat_ioctl: maybe("file_operations", "compat_ioctl", Pointer)?,
        fops_open: at("file_operations", "open", Pointer)?,
        misc_size: room("miscdevice", MISCDEVICE_ROOM)?,
        misc_minor: at("miscdevice", "minor", Bytes(4))?,
        misc_name: at("miscdevice", "name", Pointer)?,
        misc_fops: at("miscdevice", "fops", Pointer)?,
        misc_mode: at("miscdevice", "mode", Bytes(2))?,
        notifier_call: at("notifier_block", "notifier_call", Pointer)?,
        mem_offline: structs
            .known_enumerator("MEM_OFFLINE")?
            .unwrap_or(MEM_OFFLINE),
        resource_start: at("resource", "start", Bytes(8))?,
        resource_end: at("resource", "end", Bytes(8))?,
        resource_flags: at("resource", "flags", Bytes(8))?,
        resource_desc: at("resource", "desc", Low32)?,
        desc_none: structs.enumerator("IORES_DESC_NONE")?,
        desc_reserved: structs.enumerator("IORES_DESC_RESERVED")?,
        desc_acpi_tables: structs.enumerator("IORES_DESC_ACPI_TABLES")?,
        desc_acpi_nv_storage: structs.enumerator("IORES_DESC_ACPI_NV_STORAGE")?,
        page_size: structs.size("page")?,
        page_flags: at("page", "flags", Bytes(8))?,
        page_compound: compound(structs)?,
        page_type: at("page", "page_type", Bytes(4))?,
        poisoned_bit: structs.known_enumerator("PG_hwpoison")?.unwrap_or(ABSENT),
        offline_mask: offline.mask,
        offline_type: offline.value,
        unaccepted_mask: unaccepted.mask,
        unaccepted_type: unaccepted.value,
        section_size: section(None)?,
        section_mem_map: section(Some("section_mem_map"))?,
        efi_unaccepted,
        unaccepted_unit_size: unaccepted_table("unit_size", Bytes(4))?,
        unaccepted_phys_base: unaccepted_table("phys_base", Bytes(8))?,
        unaccepted_size: unaccepted_table("size", Bytes(8))?,
        unaccepted_bitmap: unaccepted_table("bitmap", ArrayOf(8))?,
        task_usage: at("task_struct", "usage", Bytes(4))?,
        task_cred: at("task_struct", "cred", Pointer)?,
        task_pagefault_disabled: at("task_struct", "pagefault_disabled", Bytes(4))?,
        task_pending: at("task_struct", "pending.signal", Bytes(8))?,
        task_blocked: at("task_struct", "blocked", Bytes(8))?,
        task_signal: at("task_struct", "signal", Pointer)?,
        signal_shared_pending: at("signal_struct", "shared_pending.signal", Bytes(8))?,
        cred_euid: at("cred", "euid", Bytes(4))?,
        mm_pgd: at("mm_struct", "pgd", Pointer)?,
        current_offset: match choices.current {
            None => ABSENT,
            Some(name) if name.ends_with("pcpu_hot") => at("pcpu_hot", "current_task", Pointer)?,
            Some(_) => 0,
        },
        cpu_phys_bits: at("cpuinfo_x86", "x86_phys_bits", Bytes(1))?,
        cpu_capability: at("cpuinfo_x86", "x86_capability", ArrayOf(4))?,
        lockdown_dev_mem: structs.enumerator("LOCKDOWN_DEV_MEM")?,
        cc_guest_mem_encrypt: structs
            .known_enumerator("CC_ATTR_GUEST_MEM_ENCRYPT")?
            .unwrap_or(ABSENT),
        vmcoreinfo_len: choices.vmcoreinfo_len,
    })
}

/// The word whose bit 0 says that this page is within a larger one: it was renamed.
fn compound(structs: &Structs<'_>) -> Result<u32, FitError> {
    let shape: Shape = Bytes(8);
    match structs.known_offset("page", "compound_info", shape)? {
        Some(offset) => Ok(offset),
        None => structs.offset("page", "compound_head", shape),
    }
}

/// The types of offline and of unaccepted pages.
///
/// Their coding changed twice: bits that are 0 in a page of the type, as macros and then
/// as enumerators, and at last a number in the upper byte.
fn page_types(structs: &Structs<'_>) -> Result<(PageType, PageType), FitError> {
    let number = |value: u32| {
        let place = || "the enumerator PGTY_offline";
        match value {
            0..=0xff => Ok(PageType {
                mask: 0xff << PGTY_SHIFT,
                value: value << PGTY_SHIFT,
            }),
            _ => Err(layout(place(), value.to_string(), "a number of 8 bits")),
        }
    };
    if let Some(offline) = structs.known_enumerator("PGTY_offline")? {
        let unaccepted = structs.known_enumerator("PGTY_unaccepted")?;
        return Ok((number(offline)?, unaccepted.map_or(Ok(NO_PAGE), number)?));
    }
    let bit = |base, bit| PageType {
        mask: base | bit,
        value: base,
    };
    if structs.has_enum("pagetype") {
        let base = structs.enumerator("PAGE_TYPE_BASE")?;
        let unaccepted = structs.known_enumerator("PG_unaccepted")?;
        return Ok((
            bit(base, structs.enumerator("PG_offline")?),
            unaccepted.map_or(NO_PAGE, |unaccepted| bit(base, unaccepted)),
        ));
    }
    Ok((bit(PAGE_TYPE_BASE, PG_OFFLINE), NO_PAGE))
}
