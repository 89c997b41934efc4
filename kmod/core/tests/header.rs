// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks with a C compiler that the C header and the Rust ABI agree.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

use linpmem_core::abi::{self, Entry, Info, Load, PageTable, Read, SetAccess, Translate};
use linpmem_core::original::{self, Cr3Info, DataTransfer, VtopInfo};
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

/// C source that compiles only if each expression has its value.
fn assertions(facts: &[(&str, u64)]) -> String {
    let mut source = String::from("#include <stddef.h>\n#include <linpmem.h>\n");
    for (expression, value) in facts {
        writeln!(
            source,
            "_Static_assert(({expression}) == {value}ULL, \"{expression}\");"
        )
        .unwrap();
    }
    source
}

/// Whether the C compiler accepts `source`, and its messages.
fn compiles(name: &str, source: &str) -> (bool, String) {
    let path = std::env::temp_dir().join(format!("linpmem-{name}-{}.c", std::process::id()));
    std::fs::write(&path, source).unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../include");
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
        .args(["-I", include])
        .arg(&path)
        .output()
        .expect("cannot run cc: install a C compiler (Debian: gcc); cargo needs one too");
    std::fs::remove_file(&path).unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

macro_rules! layout {
    ($rust:ty, $c:literal, $($field:ident),+) => {
        vec![
            (concat!("sizeof(struct ", $c, ")"), size_of::<$rust>().try_into().unwrap()),
            $((
                concat!("offsetof(struct ", $c, ", ", stringify!($field), ")"),
                offset_of!($rust, $field).try_into().unwrap(),
            )),+
        ]
    };
}

/// Every struct and every constant.
fn facts() -> Vec<(&'static str, u64)> {
    let mut facts = layout!(
        Info,
        "linpmem_info",
        size,
        abi_version,
        features,
        module_version,
        phys_bits,
        paging_levels,
        architecture,
        page_offset_base,
        phys_base,
        kaslr_offset,
        kernel_page_table,
        vmcoreinfo_addr,
        vmcoreinfo_len,
        encryption_mask
    );
    facts.extend(layout!(
        Read,
        "linpmem_read",
        size,
        access,
        addr,
        len,
        buffer,
        statuses,
        done
    ));
    facts.extend(layout!(SetAccess, "linpmem_set_access", size, access));
    facts.extend(layout!(
        Load,
        "linpmem_load",
        size,
        access,
        addr,
        value,
        width,
        reserved
    ));
    facts.extend(layout!(
        Translate,
        "linpmem_translate",
        size,
        outcome,
        virt,
        page_table,
        phys,
        page_bytes,
        rights,
        error,
        steps,
        levels,
        entries
    ));
    facts.extend(layout!(Entry, "linpmem_entry", addr, value));
    facts.extend(layout!(
        PageTable,
        "linpmem_page_table",
        size,
        pid,
        kernel,
        user
    ));
    facts.extend(layout!(
        DataTransfer,
        "linpmem_original_data_transfer",
        phys_address,
        out_value,
        readbuffer,
        readbuffer_size,
        access_type,
        unused,
        padding
    ));
    facts.extend(layout!(
        VtopInfo,
        "linpmem_original_vtop_info",
        virt_address,
        associated_cr3,
        phys_address,
        ppte
    ));
    facts.extend(layout!(
        Cr3Info,
        "linpmem_original_cr3_info",
        target_process,
        result_cr3
    ));
    facts.extend([
        ("LINPMEM_IOCTL_INFO", u64::from(abi::IOCTL_INFO)),
        ("LINPMEM_IOCTL_READ", u64::from(abi::IOCTL_READ)),
        ("LINPMEM_IOCTL_SET_ACCESS", u64::from(abi::IOCTL_SET_ACCESS)),
        ("LINPMEM_IOCTL_TRANSLATE", u64::from(abi::IOCTL_TRANSLATE)),
        ("LINPMEM_IOCTL_PAGE_TABLE", u64::from(abi::IOCTL_PAGE_TABLE)),
        ("LINPMEM_IOCTL_LOAD", u64::from(abi::IOCTL_LOAD)),
        (
            "LINPMEM_ORIGINAL_READ_PHYSADDR",
            u64::from(original::IOCTL_READ_PHYSADDR),
        ),
        ("LINPMEM_ORIGINAL_VTOP", u64::from(original::IOCTL_VTOP)),
        (
            "LINPMEM_ORIGINAL_QUERY_CR3",
            u64::from(original::IOCTL_QUERY_CR3),
        ),
        ("LINPMEM_ABI_VERSION", u64::from(abi::ABI_VERSION)),
        ("LINPMEM_UNKNOWN", abi::UNKNOWN),
        ("LINPMEM_READ_MAX_BYTES", abi::READ_MAX_BYTES),
        ("LINPMEM_FEATURE_READ", abi::FEATURE_READ),
        ("LINPMEM_FEATURE_READ_PAGES", abi::FEATURE_READ_PAGES),
        ("LINPMEM_FEATURE_TRANSLATE", abi::FEATURE_TRANSLATE),
        ("LINPMEM_FEATURE_ORIGINAL", abi::FEATURE_ORIGINAL),
        ("LINPMEM_FEATURE_DEVICE", abi::FEATURE_DEVICE),
        ("LINPMEM_ACCESS_DEVICE", u64::from(abi::ACCESS_DEVICE)),
        ("LINPMEM_ACCESS_CACHED", u64::from(abi::ACCESS_CACHED)),
        ("LINPMEM_ACCESS_UNCACHED", u64::from(abi::ACCESS_UNCACHED)),
        ("LINPMEM_ACCESS_UNMAPPED", u64::from(abi::ACCESS_UNMAPPED)),
        ("LINPMEM_OUTCOME_MAPPED", u64::from(abi::OUTCOME_MAPPED)),
        (
            "LINPMEM_OUTCOME_NOT_PRESENT",
            u64::from(abi::OUTCOME_NOT_PRESENT),
        ),
        ("LINPMEM_OUTCOME_BROKEN", u64::from(abi::OUTCOME_BROKEN)),
        ("LINPMEM_RIGHT_WRITE", u64::from(abi::RIGHT_WRITE)),
        ("LINPMEM_RIGHT_USER", u64::from(abi::RIGHT_USER)),
        ("LINPMEM_RIGHT_EXECUTE", u64::from(abi::RIGHT_EXECUTE)),
        ("LINPMEM_RIGHT_NONE", u64::from(abi::RIGHT_NONE)),
        (
            "LINPMEM_ARCHITECTURE_X86_64",
            u64::from(abi::ARCHITECTURE_X86_64),
        ),
        (
            "LINPMEM_ARCHITECTURE_ARM64",
            u64::from(abi::ARCHITECTURE_ARM64),
        ),
    ]);
    facts
}

#[test]
fn the_c_header_agrees() {
    let (agrees, said) = compiles("header", &assertions(&facts()));
    assert!(agrees, "{said}");
}

#[test]
fn a_difference_is_noticed() {
    let (agrees, _) = compiles("header-lie", &assertions(&[("LINPMEM_ABI_VERSION", 2)]));
    assert!(!agrees);
}
