// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's System RAM, from the text of its /proc/iomem. Apart from the
//! dumper's own parser, for tests should not rest on what they test.

use anyhow::{Context, Result, ensure};
use linpmem_phys::{MemoryMap, PhysAddr, PhysRange, Region, RegionKind};

/// Every `System RAM` entry, nested or not. Entries within it are RAM as well.
///
/// # Errors
/// When the text is none of /proc/iomem, or was read without privilege.
pub fn system_ram(text: &str) -> Result<MemoryMap> {
    let mut regions = Vec::new();
    for line in text.lines() {
        let (range, name) = line.split_once(" : ").context("a line without a name")?;
        if name != "System RAM" && !name.starts_with("System RAM (") {
            continue;
        }
        let (first, last) = range
            .trim()
            .split_once('-')
            .context("a line without an end")?;
        let parse = |digits| u64::from_str_radix(digits, 16).map(PhysAddr::new);
        let (first, last) = (parse(first)?, parse(last)?);
        ensure!(last > first, "/proc/iomem was read without privilege");
        regions.push(Region {
            range: PhysRange::from_inclusive(first, last)?,
            kind: RegionKind::SystemRam,
        });
    }
    Ok(MemoryMap::new(regions)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_is_found_wherever_it_is_nested() {
        let text = "\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
00100000-1fffffff : System RAM
  01000000-01ffffff : Kernel code
80000000-8fffffff : hotplug
  80000000-80ffffff : System RAM (virtio_mem)
100000000-11fffffff : System RAM
";
        let map = system_ram(text).unwrap();
        let ends: Vec<u64> = map.regions().iter().map(|r| r.range.end().get()).collect();
        assert_eq!(ends, [0x9fc00, 0x2000_0000, 0x8100_0000, 0x1_2000_0000]);
        assert!(system_ram("00000000-00000000 : System RAM\n").is_err());
    }
}
