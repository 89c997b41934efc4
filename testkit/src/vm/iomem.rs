// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's System RAM, from the text of its /proc/iomem. Not by the dumper's
//! parser: tests must not rely on the code under test.

use anyhow::{Context, Result, ensure};
use linpmem_phys::{MemoryMap, PAGE_SIZE, PhysAddr, PhysRange, Region, RegionKind};

/// Every `System RAM` entry, nested or not. Entries inside one are RAM as well.
///
/// # Errors
/// When the text is not that of /proc/iomem, or was read without privileges.
pub fn system_ram(text: &str) -> Result<MemoryMap> {
    let mut regions = Vec::new();
    for line in text.lines() {
        let (range, name) = line
            .split_once(" : ")
            .context("a line without a name in /proc/iomem")?;
        if name != "System RAM" && !name.starts_with("System RAM (") {
            continue;
        }
        let range = self::range(range.trim())?;
        ensure!(
            range.start() != PhysAddr::ZERO || range.len() > PAGE_SIZE,
            "/proc/iomem was read without privileges"
        );
        regions.push(Region {
            range,
            kind: RegionKind::SystemRam,
        });
    }
    Ok(MemoryMap::new(regions)?)
}

/// Ranges such as `1000-1fff`, a line each, by address.
///
/// # Errors
/// When a line is not a range.
pub fn ranges(text: &str) -> Result<Vec<PhysRange>> {
    let mut ranges: Vec<PhysRange> = text.lines().map(range).collect::<Result<_>>()?;
    ranges.sort_unstable();
    Ok(ranges)
}

/// `FIRST-LAST`, hexadecimal and inclusive.
///
/// # Errors
/// When it is not that.
pub fn range(text: &str) -> Result<PhysRange> {
    let (first, last) = text.split_once('-').context("a range without an end")?;
    let parse = |digits| u64::from_str_radix(digits, 16).map(PhysAddr::new);
    Ok(PhysRange::from_inclusive(parse(first)?, parse(last)?)?)
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

    #[test]
    fn ranges_are_sorted() {
        let ranges = ranges("3000-4fff\n1000-1fff\n").unwrap();
        let starts: Vec<u64> = ranges.iter().map(|range| range.start().get()).collect();
        assert_eq!(starts, [0x1000, 0x3000]);
        assert!(super::ranges("1000\n").is_err());
        assert!(super::ranges("2000-1fff\n").is_err());
    }
}
