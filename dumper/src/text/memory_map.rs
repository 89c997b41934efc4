// SPDX-License-Identifier: MIT OR Apache-2.0
//! A map of physical memory, drawn for a terminal.

use linpmem_formats::ImageReader;
use linpmem_manifest::Manifest;
use linpmem_phys::{Content, PhysRange, RegionKind};
use std::io::{self, Write};

/// Cells in a row.
const COLUMNS: u64 = 64;
/// Rows at most.
const ROWS: u64 = 16;
/// The smallest cell.
const MIN_CELL_BYTES: u64 = 64 << 10;

/// What a cell shows, in the order of what wins where several share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Nothing,
    Absent,
    Other,
    Firmware,
    Ram,
    Unreadable,
}

impl Mark {
    const LEGEND: &str =
        "# RAM, r reserved or firmware, o other, - named but absent, ! unreadable, . nothing";

    const fn letter(self) -> char {
        match self {
            Self::Nothing => '.',
            Self::Absent => '-',
            Self::Other => 'o',
            Self::Firmware => 'r',
            Self::Ram => '#',
            Self::Unreadable => '!',
        }
    }
}

/// Draws what `image` holds, with the unreadable pages that `manifest` lists.
///
/// # Errors
/// If `out` failed.
pub fn draw(
    image: &dyn ImageReader,
    manifest: Option<&Manifest>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut parts: Vec<(PhysRange, Mark)> = image
        .ranges()
        .iter()
        .map(|stored| (stored.range, mark(stored.content, stored.kind)))
        .collect();
    let records = manifest.iter().flat_map(|manifest| &manifest.ranges);
    let unreadable = records.flat_map(|range| &range.unreadable);
    parts.extend(unreadable.map(|item| (item.range, Mark::Unreadable)));
    write_map(&parts, out)
}

const fn mark(content: Content, kind: Option<RegionKind>) -> Mark {
    match (content, kind) {
        (Content::Unreadable { .. }, _) => Mark::Unreadable,
        (Content::Skipped { .. }, _) => Mark::Absent,
        (_, None | Some(RegionKind::SystemRam)) => Mark::Ram,
        (
            _,
            Some(
                RegionKind::Reserved
                | RegionKind::AcpiTables
                | RegionKind::AcpiNonVolatile
                | RegionKind::Rom
                | RegionKind::SoftReserved,
            ),
        ) => Mark::Firmware,
        _ => Mark::Other,
    }
}

fn write_map(parts: &[(PhysRange, Mark)], out: &mut dyn Write) -> io::Result<()> {
    let end = parts.iter().map(|(range, _)| range.last().get()).max();
    let Some(end) = end else {
        return Ok(());
    };
    let cell = (end / (COLUMNS * ROWS))
        .saturating_add(1)
        .next_power_of_two()
        .max(MIN_CELL_BYTES);
    let count = usize::try_from((end / cell).saturating_add(1)).unwrap_or(0);
    let mut cells = vec![Mark::Nothing; count];
    for (range, mark) in parts {
        let first = usize::try_from(range.start().get() / cell).unwrap_or(usize::MAX);
        let last = usize::try_from(range.last().get() / cell).unwrap_or(usize::MAX);
        for shown in cells.get_mut(first..=last).unwrap_or_default() {
            *shown = (*shown).max(*mark);
        }
    }
    let size = linpmem_phys::PhysLen::new(cell);
    writeln!(out, "map, {size} a letter: {}", Mark::LEGEND)?;
    let columns = usize::try_from(COLUMNS).unwrap_or(1);
    let mut is_gap = false;
    for (index, row) in cells.chunks(columns).enumerate() {
        if row.iter().all(|&mark| mark == Mark::Nothing) {
            if !is_gap {
                writeln!(out, "{:>18}", "...")?;
            }
            is_gap = true;
            continue;
        }
        is_gap = false;
        let start = u64::try_from(index).unwrap_or(0);
        let start = start.saturating_mul(COLUMNS).saturating_mul(cell);
        let letters: String = row.iter().map(|mark| mark.letter()).collect();
        writeln!(out, "{start:>#18x}  {letters}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::PhysAddr;

    fn drawn(parts: &[(u64, u64, Mark)]) -> Vec<String> {
        let parts: Vec<_> = parts
            .iter()
            .map(|&(start, end, mark)| {
                let range = PhysRange::new(PhysAddr::new(start), PhysAddr::new(end));
                (range.unwrap(), mark)
            })
            .collect();
        let mut out = Vec::new();
        write_map(&parts, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn gaps_are_short_and_a_bad_page_is_seen() {
        const GIB: u64 = 1 << 30;
        let lines = drawn(&[
            (0x1000, 0x9_f000, Mark::Ram),
            (0x9_f000, 0x10_0000, Mark::Firmware),
            (0x10_0000, 3 * GIB, Mark::Ram),
            (GIB, GIB + 0x1000, Mark::Unreadable),
            (4 * GIB, 5 * GIB, Mark::Ram),
        ]);
        assert!(lines[0].starts_with("map, 8 MiB a letter"), "{lines:?}");
        assert!(
            lines[3].starts_with("        0x40000000  !####"),
            "{lines:?}"
        );
        assert_eq!(lines[7].trim(), "...");
        assert!(
            lines[8].starts_with("       0x100000000  ####"),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 10);
    }

    #[test]
    fn the_last_page_there_is_has_its_place() {
        let end = 1 << 52;
        let lines = drawn(&[(0, 0x1000, Mark::Ram), (end - 0x1000, end, Mark::Other)]);
        assert!(lines[1].ends_with(&format!("  #{}", ".".repeat(63))));
        assert!(lines[3].ends_with('o'), "{lines:?}");
        assert!(drawn(&[]).is_empty());
    }
}
