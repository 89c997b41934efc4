// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem info`.

use crate::args::InfoArgs;
use anyhow::Result;
use linpmem::{Device, Dialect, Info};
use linpmem_cli::table::{known_value, value};
use linpmem_cli::{Document, ExitStatus, SignedHex};
use linpmem_phys::PhysRange;
use serde::Serialize;
use std::io::{self, Write};

/// Describes the module and the machine.
pub fn run(args: &InfoArgs, out: &mut dyn Write) -> Result<ExitStatus> {
    let device = Device::open_path(&args.device.device)?;
    let release = rustix::system::uname();
    let kernel = release.release().to_string_lossy().into_owned();
    let (dialect, info) = match device.dialect() {
        Dialect::Original => ("original", None),
        _ => ("linpmem", Some(device.info()?)),
    };
    let document = InfoDocument {
        device: device.path().display().to_string(),
        module: Module::new(dialect, info.as_ref()),
        machine: Machine::new(kernel, info.as_ref()),
    };
    document.print(args.output.json, out)?;
    Ok(ExitStatus::Complete)
}

/// The module and the machine that it runs on.
#[derive(Debug, Serialize)]
struct InfoDocument {
    device: String,
    module: Module,
    machine: Machine,
}

/// The original says nothing about itself.
#[derive(Debug, Serialize)]
struct Module {
    dialect: &'static str,
    version: Option<String>,
    abi_version: Option<u32>,
    features: Option<Vec<&'static str>>,
}

/// The names are those of `linpmem-dump info`.
#[derive(Debug, Serialize)]
struct Machine {
    kernel: String,
    architecture: Option<&'static str>,
    phys_bits: Option<u32>,
    paging_levels: Option<u32>,
    direct_map_base: Option<String>,
    phys_base: Option<SignedHex>,
    kaslr_offset: Option<String>,
    kernel_page_table: Option<String>,
    vmcoreinfo: Option<Range>,
    encryption_mask: Option<String>,
}

/// A range of physical addresses.
#[derive(Debug, Serialize)]
struct Range {
    start: String,
    last: String,
    size_bytes: u64,
}

impl From<PhysRange> for Range {
    fn from(range: PhysRange) -> Self {
        Self {
            start: range.start().to_string(),
            last: range.last().to_string(),
            size_bytes: range.len().get(),
        }
    }
}

impl Module {
    fn new(dialect: &'static str, info: Option<&Info>) -> Self {
        Self {
            dialect,
            version: info.map(|info| info.module_version.to_string()),
            abi_version: info.map(|info| info.abi_version),
            features: info.map(|info| info.features.names().collect()),
        }
    }
}

impl Machine {
    fn new(kernel: String, info: Option<&Info>) -> Self {
        let hex = |value: u64| format!("{value:#x}");
        Self {
            kernel,
            architecture: info.map(|info| info.architecture.name()),
            phys_bits: info.map(|info| info.phys_bits),
            paging_levels: info.map(|info| info.paging_levels),
            direct_map_base: info.map(|info| hex(info.page_offset_base)),
            phys_base: info.map(|info| SignedHex(info.phys_base)),
            kaslr_offset: info.and_then(|info| info.kaslr_offset).map(hex),
            kernel_page_table: info
                .and_then(|info| info.kernel_page_table)
                .map(|addr| addr.to_string()),
            vmcoreinfo: info.and_then(|info| info.vmcoreinfo).map(Range::from),
            encryption_mask: info.map(|info| hex(info.encryption_mask)),
        }
    }
}

impl Document for InfoDocument {
    const FORMAT: &'static str = "pmem info";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            device,
            module,
            machine,
        } = self;
        value(out, "device", device)?;
        match (&module.version, module.abi_version) {
            (Some(version), Some(abi)) => {
                value(out, "module", format!("linpmem {version}, ABI {abi}"))?;
            }
            _ => value(
                out,
                "module",
                "the original Linpmem, which reports nothing else",
            )?,
        }
        let features = module.features.as_ref().map(|names| names.join(", "));
        known_value(out, "features", features)?;
        value(out, "kernel", &machine.kernel)?;
        if module.version.is_none() {
            return Ok(());
        }
        let known = |value: &Option<String>, otherwise: &str| {
            value.clone().unwrap_or_else(|| otherwise.to_owned())
        };
        known_value(out, "architecture", machine.architecture)?;
        known_value(out, "address bits", machine.phys_bits)?;
        known_value(out, "paging levels", machine.paging_levels)?;
        known_value(out, "direct map base", machine.direct_map_base.as_ref())?;
        known_value(out, "phys_base", machine.phys_base)?;
        value(out, "KASLR offset", known(&machine.kaslr_offset, "unknown"))?;
        let page_table = known(&machine.kernel_page_table, "unknown");
        value(out, "kernel page table", page_table)?;
        let note = machine
            .vmcoreinfo
            .as_ref()
            .map(|note| format!("{}-{}", note.start, note.last));
        value(out, "VMCOREINFO", known(&note, "none"))?;
        let mask = machine.encryption_mask.as_deref();
        let encryption = match mask {
            None | Some("0x0") => "none".to_owned(),
            Some(mask) => format!("page-table bits {mask}"),
        };
        value(out, "encryption", encryption)
    }
}
