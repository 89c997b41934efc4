// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem vtop`: a translation, level by level.

use crate::args::VtopArgs;
use crate::flags;
use anyhow::Result;
use linpmem::{
    AddressSpace, Architecture, Device, Dialect, Mapped, Outcome as Walked, Translation,
};
use linpmem_cli::{Document, ExitStatus};
use linpmem_phys::num::u32_as_usize;
use serde::{Serialize, Serializer};
use std::io::{self, Write};

/// Linux's names for the levels, from the bottom up.
const LEVELS: [&str; 5] = ["PTE", "PMD", "PUD", "P4D", "PGD"];

/// Translates.
pub fn run(args: &VtopArgs, out: &mut dyn Write) -> Result<ExitStatus> {
    let device = Device::open_path(&args.device.device)?;
    let space = match (args.cr3, args.pid) {
        (Some(cr3), _) => AddressSpace::PageTable(cr3),
        (None, Some(pid)) => AddressSpace::Process(pid),
        (None, None) => AddressSpace::Caller,
    };
    let architecture = match device.dialect() {
        Dialect::Original => Architecture::X86_64,
        _ => device.info()?.architecture,
    };
    let walk = device.translate(space, args.virt)?;
    VtopDocument::new(architecture, args.virt, &walk).print(args.output.json, out)?;
    Ok(ExitStatus::of_answer(walk.mapped().is_some()))
}

/// A value in hexadecimal; a string in JSON.
#[derive(Clone, Copy, Debug)]
struct Hex(u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// A walk through the page tables.
#[derive(Debug, Serialize)]
struct VtopDocument {
    #[serde(rename = "virtual")]
    virt: Hex,
    /// The register that holds the top table's address.
    register: &'static str,
    page_table: Hex,
    levels: u32,
    entries: Vec<Step>,
    outcome: &'static str,
    /// Why the next table cannot be read.
    errno: Option<i32>,
    physical: Option<Hex>,
    page_bytes: Option<u64>,
    write: Option<bool>,
    user: Option<bool>,
    execute: Option<bool>,
    no_access: Option<bool>,
    #[serde(skip)]
    walked: Walked,
}

/// An entry on the way.
#[derive(Debug, Serialize)]
struct Step {
    level: &'static str,
    address: Hex,
    value: Hex,
    flags: Vec<&'static str>,
}

impl VtopDocument {
    fn new(architecture: Architecture, virt: u64, walk: &Translation) -> Self {
        let step = |(level, addr, value)| Step {
            level,
            address: Hex(addr),
            value: Hex(value),
            flags: flags::of(architecture, level, value),
        };
        let mapped = walk.mapped();
        let (outcome, errno) = match walk.outcome {
            Walked::Mapped(_) => ("mapped", None),
            Walked::NotPresent => ("not-present", None),
            Walked::Broken(errno) => ("unreadable-table", Some(errno.get())),
        };
        Self {
            virt: Hex(virt),
            register: architecture.register_for(virt),
            page_table: Hex(walk.page_table.get()),
            levels: walk.levels,
            entries: levels(walk).map(step).collect(),
            outcome,
            errno,
            physical: mapped.map(|page| Hex(page.phys.get())),
            page_bytes: mapped.map(|page| page.page.get()),
            write: mapped.map(|page| page.write),
            user: mapped.map(|page| page.user),
            execute: mapped.map(|page| page.execute),
            no_access: mapped.map(|page| page.no_access),
            walked: walk.outcome,
        }
    }
}

/// The entries with the names of their levels.
fn levels(walk: &Translation) -> impl Iterator<Item = (&'static str, u64, u64)> {
    let depth = u32_as_usize(walk.levels);
    walk.entries.iter().enumerate().map(move |(index, entry)| {
        // The top table is the PGD, however many levels there are.
        let from_bottom = depth.checked_sub(index + 1);
        let name = match index {
            0 => Some("PGD"),
            _ => from_bottom.and_then(|level| LEVELS.get(level).copied()),
        };
        // An old or foreign module may claim anything.
        let name = name.unwrap_or("?");
        (name, entry.addr.get(), entry.value)
    })
}

fn rights(page: &Mapped) -> Vec<&'static str> {
    [
        (page.write, "write"),
        (page.execute, "execute"),
        (page.user, "user"),
        (page.no_access, "no access (PROT_NONE)"),
    ]
    .into_iter()
    .filter_map(|(has, name)| has.then_some(name))
    .collect()
}

impl Document for VtopDocument {
    const FORMAT: &'static str = "pmem vtop";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let wide = |addr: Hex| format!("{:#018x}", addr.0);
        writeln!(out, "virtual     {}", wide(self.virt))?;
        writeln!(
            out,
            "page table  {}  {}, {} levels",
            wide(self.page_table),
            self.register,
            self.levels
        )?;
        for entry in &self.entries {
            let line = format!(
                "{} entry   {}  {}  {}",
                entry.level,
                wide(entry.address),
                wide(entry.value),
                entry.flags.join(" ")
            );
            writeln!(out, "{}", line.trim_end())?;
        }
        match self.walked {
            Walked::Mapped(page) => writeln!(
                out,
                "physical    {}  {} page: read {}",
                wide(Hex(page.phys.get())),
                page.page,
                rights(&page).join(" ")
            ),
            Walked::NotPresent => {
                writeln!(out, "physical    not mapped: the last entry is not present")
            }
            Walked::Broken(errno) => writeln!(
                out,
                "physical    unknown: the next table cannot be read: {errno}"
            ),
        }
    }
}
