// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem vtop`: a translation, level by level.

use crate::args::VtopArgs;
use crate::{Outcome, write_json};
use anyhow::Result;
use linpmem::{AddressSpace, Device, Mapped, Outcome as Walked, Translation};
use linpmem_phys::num::u32_as_usize;
use serde_json::json;
use std::io::Write;

/// Linux's names for the levels, from the bottom up.
const LEVELS: [&str; 5] = ["PTE", "PMD", "PUD", "P4D", "PGD"];

/// The flags of an entry that are shown (Intel SDM volume 3, chapter 4).
const FLAGS: [(u64, &str); 8] = [
    (1 << 0, "present"),
    (1 << 1, "write"),
    (1 << 2, "user"),
    (1 << 5, "accessed"),
    (1 << 6, "dirty"),
    (1 << 7, "large"),
    (1 << 8, "global"),
    (1 << 63, "no-execute"),
];

/// Translates.
pub fn run(args: &VtopArgs, out: &mut dyn Write) -> Result<Outcome> {
    let device = Device::open_path(&args.device.device)?;
    let space = match (args.cr3, args.pid) {
        (Some(cr3), _) => AddressSpace::PageTable(cr3),
        (None, Some(pid)) => AddressSpace::Process(pid),
        (None, None) => AddressSpace::Caller,
    };
    let walk = device.translate(space, args.virt)?;
    if args.output.json {
        write_json(out, &document(args.virt, &walk))?;
    } else {
        table(args.virt, &walk, out)?;
    }
    Ok(match walk.mapped() {
        Some(_) => Outcome::Done,
        None => Outcome::Negative,
    })
}

/// The entries with the names of their levels.
fn levels(walk: &Translation) -> impl Iterator<Item = (&'static str, u64, u64)> {
    let depth = u32_as_usize(walk.levels);
    walk.entries.iter().enumerate().map(move |(index, entry)| {
        // The top table is the PGD, with four levels and with five.
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

fn flags(level: &str, value: u64) -> Vec<&'static str> {
    let is_leaf_only = |name: &str| name == "dirty" || name == "global";
    FLAGS
        .into_iter()
        .filter(|(bit, _)| value & bit != 0)
        // Bit 7 of a PTE is the memory type, and some bits mean nothing above a leaf.
        .filter(|(_, name)| !(level == "PTE" && *name == "large"))
        .filter(|(_, name)| {
            let is_leaf = level == "PTE" || value & (1 << 7) != 0;
            is_leaf || !is_leaf_only(name)
        })
        .map(|(_, name)| name)
        .collect()
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

fn table(virt: u64, walk: &Translation, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "virtual     {virt:#018x}")?;
    writeln!(
        out,
        "page table  {:#018x}  {} levels",
        walk.page_table.get(),
        walk.levels
    )?;
    for (name, addr, value) in levels(walk) {
        let flags = flags(name, value).join(" ");
        let line = format!("{name} entry   {addr:#018x}  {value:#018x}  {flags}");
        writeln!(out, "{}", line.trim_end())?;
    }
    match walk.outcome {
        Walked::Mapped(page) => writeln!(
            out,
            "physical    {:#018x}  {} page: read {}",
            page.phys.get(),
            page.page,
            rights(&page).join(" ")
        )?,
        Walked::NotPresent => {
            writeln!(out, "physical    not mapped: the last entry is not present")?
        }
        Walked::Broken(errno) => {
            writeln!(
                out,
                "physical    unknown: the next table cannot be read: {errno}"
            )?;
        }
    }
    Ok(())
}

fn document(virt: u64, walk: &Translation) -> serde_json::Value {
    let hex = |value: u64| format!("{value:#x}");
    let entries: Vec<_> = levels(walk)
        .map(|(name, addr, value)| {
            json!({
                "level": name,
                "address": hex(addr),
                "value": hex(value),
                "flags": flags(name, value),
            })
        })
        .collect();
    let mut document = json!({
        "virtual": hex(virt),
        "page_table": hex(walk.page_table.get()),
        "levels": walk.levels,
        "entries": entries,
        "outcome": match walk.outcome {
            Walked::Mapped(_) => "mapped",
            Walked::NotPresent => "not-present",
            Walked::Broken(_) => "broken",
        },
    });
    let more = match walk.outcome {
        Walked::Mapped(page) => json!({
            "physical": hex(page.phys.get()),
            "page_bytes": page.page.get(),
            "write": page.write,
            "user": page.user,
            "execute": page.execute,
            "no_access": page.no_access,
        }),
        Walked::Broken(errno) => json!({ "errno": errno.get() }),
        Walked::NotPresent => json!({}),
    };
    if let (Some(all), serde_json::Value::Object(more)) = (document.as_object_mut(), more) {
        all.extend(more);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_mean_nothing_are_not_shown() {
        assert_eq!(flags("PGD", 0x67), ["present", "write", "user", "accessed"]);
        assert_eq!(
            flags("PMD", 0x1e3),
            ["present", "write", "accessed", "dirty", "large", "global"]
        );
        let leaf = 1 << 63 | 0x80 | 0x61;
        assert_eq!(
            flags("PTE", leaf),
            ["present", "accessed", "dirty", "no-execute"]
        );
    }
}
