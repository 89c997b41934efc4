// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem ranges`: /proc/iomem, the kernel's map of physical memory.

use crate::args::OutputArgs;
use anyhow::{Context, Result};
use linpmem_cli::table::{self, Align};
use linpmem_cli::{Document, ExitStatus, Stderr};
use linpmem_kinfo::iomem::{self, Entry, Listing};
use linpmem_phys::PhysLen;
use serde::Serialize;
use std::fs;
use std::io::{self, Write};

/// Shows the map. It needs no module.
pub fn run(args: OutputArgs, stderr: Stderr, out: &mut dyn Write) -> Result<ExitStatus> {
    let path = iomem::PATH;
    // Names in it need not be text.
    let text = fs::read(path).with_context(|| format!("reading {path}"))?;
    let Listing { entries, odd } = iomem::parse(&text)?;
    for line in odd {
        stderr.warn(&line.to_string());
    }
    let ram = system_ram(&entries).with_context(|| format!("{path} contradicts itself"))?;
    let document = RangesDocument {
        ranges: entries.iter().map(MapRange::from).collect(),
        system_ram_bytes: ram.get(),
    };
    document.print(args.json, out)?;
    Ok(ExitStatus::Complete)
}

/// /proc/iomem.
#[derive(Debug, Serialize)]
struct RangesDocument {
    ranges: Vec<MapRange>,
    system_ram_bytes: u64,
}

#[derive(Debug, Serialize)]
struct MapRange {
    start: String,
    last: String,
    size_bytes: u64,
    depth: usize,
    name: String,
}

impl From<&Entry<'_>> for MapRange {
    fn from(entry: &Entry<'_>) -> Self {
        Self {
            start: entry.range.start().to_string(),
            last: entry.range.last().to_string(),
            size_bytes: entry.range.len().get(),
            depth: entry.depth,
            name: entry.name.to_string(),
        }
    }
}

impl Document for RangesDocument {
    const FORMAT: &'static str = "pmem ranges";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |range: &MapRange| {
            [
                range.start.clone(),
                range.last.clone(),
                PhysLen::new(range.size_bytes).to_string(),
                format!("{:indent$}{}", "", range.name, indent = range.depth * 2),
            ]
        };
        let rows: Vec<_> = self.ranges.iter().map(row).collect();
        let columns = [
            ("START", Align::Right),
            ("LAST", Align::Right),
            ("SIZE", Align::Right),
            ("NAME", Align::Left),
        ];
        table::write(out, columns, rows.iter().cloned())?;
        let ram = PhysLen::new(self.system_ram_bytes);
        writeln!(out, "\n{ram} of System RAM")
    }
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
        let entries = iomem::parse(text.as_bytes()).unwrap().entries;
        assert_eq!(entries.len(), 7);
        let sum = system_ram(&entries).unwrap();
        assert_eq!(sum.get(), 0x9f000 + 0x10_0000 + 0x1000);
        let all = "00000000-ffffffffffffffff : System RAM\n".repeat(2);
        assert_eq!(
            system_ram(&iomem::parse(all.as_bytes()).unwrap().entries),
            None
        );
    }
}
