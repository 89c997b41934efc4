// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem info`.

use crate::args::InfoArgs;
use crate::{Outcome, write_json};
use anyhow::Result;
use linpmem::{Device, Dialect, Info};
use serde_json::json;
use std::io::Write;

/// Describes the module and the machine.
pub fn run(args: &InfoArgs, out: &mut dyn Write) -> Result<Outcome> {
    let device = Device::open_path(&args.device.device)?;
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let path = device.path().display().to_string();
    if device.dialect() == Dialect::Original {
        if args.output.json {
            let document = json!({ "device": path, "dialect": "original", "kernel": release });
            write_json(out, &document)?;
        } else {
            writeln!(out, "device:            {path}")?;
            writeln!(
                out,
                "module:            the original Linpmem, which reports nothing else"
            )?;
            writeln!(out, "kernel:            {release}")?;
        }
        return Ok(Outcome::Done);
    }
    let info = device.info()?;
    if args.output.json {
        write_json(out, &document(&info, &path, &release))?;
    } else {
        table(&info, &path, &release, out)?;
    }
    Ok(Outcome::Done)
}

fn document(info: &Info, path: &str, release: &str) -> serde_json::Value {
    let hex = |value: u64| format!("{value:#x}");
    json!({
        "device": path,
        "dialect": "linpmem",
        "kernel": release,
        "module_version": info.module_version.to_string(),
        "abi_version": info.abi_version,
        "features": info.features.names().collect::<Vec<_>>(),
        "phys_bits": info.phys_bits,
        "paging_levels": info.paging_levels,
        "page_offset_base": hex(info.page_offset_base),
        "phys_base": info.phys_base,
        "kaslr_offset": info.kaslr_offset.map(hex),
        "kernel_page_table": info.kernel_page_table.map(|addr| hex(addr.get())),
        "vmcoreinfo": info.vmcoreinfo.map(|note| json!({
            "start": hex(note.start().get()),
            "length": note.len().get(),
        })),
        "encryption_mask": hex(info.encryption_mask),
    })
}

fn table(info: &Info, path: &str, release: &str, out: &mut dyn Write) -> Result<()> {
    let unknown = || "unknown".to_owned();
    let features: Vec<_> = info.features.names().collect();
    let rows = [
        ("device", path.to_owned()),
        (
            "module",
            format!("linpmem {}, ABI {}", info.module_version, info.abi_version),
        ),
        ("features", features.join(", ")),
        ("kernel", release.to_owned()),
        ("address bits", info.phys_bits.to_string()),
        ("paging levels", info.paging_levels.to_string()),
        ("direct map base", format!("{:#x}", info.page_offset_base)),
        ("phys_base", signed(info.phys_base)),
        (
            "KASLR offset",
            info.kaslr_offset
                .map_or_else(unknown, |offset| format!("{offset:#x}")),
        ),
        (
            "kernel page table",
            info.kernel_page_table
                .map_or_else(unknown, |addr| addr.to_string()),
        ),
        (
            "VMCOREINFO",
            info.vmcoreinfo
                .map_or_else(|| "none".to_owned(), |note| note.to_string()),
        ),
        (
            "encryption",
            match info.encryption_mask {
                0 => "none".to_owned(),
                mask => format!("page-table bit {}", mask.trailing_zeros()),
            },
        ),
    ];
    for (name, value) in rows {
        writeln!(out, "{:<18} {value}", format!("{name}:"))?;
    }
    Ok(())
}

fn signed(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{:#x}", value.unsigned_abs())
}
