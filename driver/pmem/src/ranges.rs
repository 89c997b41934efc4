// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem ranges`: /proc/iomem, the kernel's map of physical memory.

use crate::args::OutputArgs;
use crate::{Outcome, write_json};
use anyhow::{Context, Result, ensure};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange};
use serde_json::json;
use std::fs;
use std::io::Write;

const PATH: &str = "/proc/iomem";

/// A line of the map.
struct Resource {
    depth: usize,
    range: PhysRange,
    name: String,
}

/// Shows the map. It needs no module.
pub fn run(args: OutputArgs, out: &mut dyn Write) -> Result<Outcome> {
    let text = fs::read_to_string(PATH).with_context(|| format!("reading {PATH}"))?;
    let resources = parse(&text)?;
    let ram = ram(&resources);
    if args.json {
        let list: Vec<_> = resources
            .iter()
            .map(|resource| {
                json!({
                    "start": format!("{:#x}", resource.range.start().get()),
                    "last": format!("{:#x}", resource.range.last().get()),
                    "length": resource.range.len().get(),
                    "depth": resource.depth,
                    "name": resource.name,
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
    for resource in &resources {
        let range = resource.range;
        writeln!(
            out,
            "{:>18} {:>18} {:>12}  {:indent$}{}",
            range.start().to_string(),
            range.last().to_string(),
            range.len().to_string(),
            "",
            resource.name,
            indent = resource.depth.saturating_mul(2),
        )?;
    }
    writeln!(out, "\n{ram} of System RAM")?;
    Ok(Outcome::Done)
}

fn parse(text: &str) -> Result<Vec<Resource>> {
    let mut resources = Vec::new();
    let mut hidden = true;
    for line in text.lines() {
        let wrong = || format!("{PATH} is not as the kernel writes it: `{line}`");
        let trimmed = line.trim_start();
        let depth = line.len().saturating_sub(trimmed.len()) / 2;
        let (ends, name) = trimmed.split_once(" : ").with_context(wrong)?;
        let (first, last) = ends.split_once('-').with_context(wrong)?;
        let first = u64::from_str_radix(first, 16).with_context(wrong)?;
        let last = u64::from_str_radix(last, 16).with_context(wrong)?;
        hidden &= (first, last) == (0, 0);
        // The kernel prints a resource of no bytes with its end below its start.
        let last = PhysAddr::new(last.min(u64::MAX - 1));
        if let Ok(range) = PhysRange::from_inclusive(PhysAddr::new(first), last) {
            resources.push(Resource {
                depth,
                range,
                name: name.to_owned(),
            });
        }
    }
    ensure!(
        !hidden,
        "{PATH} shows every address as 0, as it does to readers without CAP_SYS_ADMIN: run as root"
    );
    Ok(resources)
}

/// System RAM is never within System RAM.
fn ram(resources: &[Resource]) -> PhysLen {
    PhysLen::new(
        resources
            .iter()
            .filter(|resource| resource.name.starts_with("System RAM"))
            .fold(0, |sum, resource| {
                sum.saturating_add(resource.range.len().get())
            }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_nest_and_ram_is_summed() {
        let text = "00001000-0009ffff : System RAM\n  00002000-00002fff : Kernel code\n\
                    000a0000-000bffff : PCI Bus 0000:00\n00100000-001fffff : System RAM\n";
        let resources = parse(text).unwrap();
        assert_eq!(resources.len(), 4);
        assert_eq!(resources[1].depth, 1);
        assert_eq!(resources[1].range.to_string(), "0x2000-0x2fff");
        assert_eq!(ram(&resources).get(), 0x9f000 + 0x10_0000);
    }

    #[test]
    fn hidden_and_broken_maps_are_errors() {
        let hidden = parse("00000000-00000000 : System RAM\n").err().unwrap();
        assert!(hidden.to_string().contains("root"), "{hidden}");
        for broken in ["nonsense\n", "0-g : x\n", "1000 : x\n"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }
}
