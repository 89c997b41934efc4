// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem ranges`: /proc/iomem, the kernel's map of physical memory.

use crate::args::OutputArgs;
use crate::{Outcome, write_json};
use anyhow::{Context, Result};
use linpmem_kinfo::iomem::{self, Entry};
use linpmem_phys::PhysLen;
use serde_json::json;
use std::fs;
use std::io::Write;

/// Shows the map. It needs no module.
pub fn run(args: OutputArgs, out: &mut dyn Write) -> Result<Outcome> {
    let path = iomem::PATH;
    // Names in it need not be text.
    let text = fs::read(path).with_context(|| format!("reading {path}"))?;
    let entries = iomem::parse(&text)?;
    let ram = system_ram(&entries).with_context(|| format!("{path} contradicts itself"))?;
    if args.json {
        let list: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "start": format!("{:#x}", entry.range.start().get()),
                    "last": format!("{:#x}", entry.range.last().get()),
                    "length": entry.range.len().get(),
                    "depth": entry.depth,
                    "name": entry.name,
                })
            })
            .collect();
        write_json(
            out,
            &json!({ "ranges": list, "system_ram_bytes": ram.get() }),
        )?;
        return Ok(Outcome::Done);
    }
    writeln!(out, "{:>18} {:>18} {:>12}  NAME", "START", "LAST", "SIZE")?;
    for entry in &entries {
        let range = entry.range;
        writeln!(
            out,
            "{:>18} {:>18} {:>12}  {:indent$}{}",
            range.start().to_string(),
            range.last().to_string(),
            range.len().to_string(),
            "",
            printable(&entry.name),
            indent = entry.depth * 2,
        )?;
    }
    writeln!(out, "\n{ram} of System RAM")?;
    Ok(Outcome::Done)
}

/// The name without control characters: a driver chose it, and it goes to a terminal.
fn printable(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

/// The sum of all System RAM. The kernel never nests System RAM in System RAM; if a text
/// does, and its sum exceeds 64 bits, there is no sum.
fn system_ram(entries: &[Entry<'_>]) -> Option<PhysLen> {
    entries
        .iter()
        .filter(|entry| entry.kind().is_ram())
        .try_fold(PhysLen::ZERO, |sum, entry| {
            sum.checked_add(entry.range.len())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_is_summed_wherever_it_is_nested() {
        let text = "00001000-0009ffff : System RAM\n  00002000-00002fff : Kernel code\n\
                    000a0000-000bffff : PCI Bus 0000:00\n00100000-001fffff : System RAM\n\
                    00200000-002fffff : dax0.0\n  00200000-00200fff : System RAM (kmem)\n\
                    00300000-00300fff : System RAMdisk\n";
        let entries = iomem::parse(text.as_bytes()).unwrap();
        assert_eq!(entries.len(), 7);
        let sum = system_ram(&entries).unwrap();
        assert_eq!(sum.get(), 0x9f000 + 0x10_0000 + 0x1000);
        let all = "00000000-ffffffffffffffff : System RAM\n".repeat(2);
        assert_eq!(system_ram(&iomem::parse(all.as_bytes()).unwrap()), None);
    }

    #[test]
    fn names_cannot_control_a_terminal() {
        assert_eq!(
            printable("dev\x1b[31mice\u{9b}"),
            "dev\u{fffd}[31mice\u{fffd}"
        );
        assert_eq!(printable("PCI Bus 0000:00"), "PCI Bus 0000:00");
    }
}
