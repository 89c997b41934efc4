// SPDX-License-Identifier: MIT OR Apache-2.0
//! A map of physical memory, drawn for a terminal.

use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PhysLen, RegionKind};
use std::io::{self, Write};

/// Cells in a row.
const COLUMNS: u64 = 64;
/// Rows at most.
const ROWS: u64 = 16;
/// The smallest cell.
const MIN_CELL_BYTES: u64 = 64 << 10;

/// What a cell shows; where several things share it, the last of these wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Nothing,
    Absent,
    Other,
    Firmware,
    Ram,
    Unreadable,
}

impl Mark {
    const LEGEND: &str =
        "# RAM, r reserved or firmware, o other, - listed but absent, ! unreadable, . nothing";

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

impl Mark {
    /// The mark for memory of this kind whose bytes are in the image. Memory of an unknown
    /// kind is shown as RAM.
    pub const fn of_kind(kind: Option<RegionKind>) -> Self {
        match kind {
            None | Some(RegionKind::SystemRam) => Self::Ram,
            Some(
                RegionKind::Reserved
                | RegionKind::AcpiTables
                | RegionKind::AcpiNonVolatile
                | RegionKind::Rom
                | RegionKind::SoftReserved,
            ) => Self::Firmware,
            Some(_) => Self::Other,
        }
    }
}

/// The addresses from the first to the last, and what to draw for them.
pub(super) type Part = (u64, u64, Mark);

/// Draws `parts`.
///
/// # Errors
/// If `out` failed.
pub(super) fn draw(
    parts: impl Iterator<Item = Part> + Clone,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(end) = parts.clone().map(|(_, last, _)| last).max() else {
        return Ok(());
    };
    // Below 2^55, so that there is a next power of two.
    let cell = (end / (COLUMNS * ROWS) + 1)
        .next_power_of_two()
        .max(MIN_CELL_BYTES);
    let mut cells = vec![Mark::Nothing; u64_as_usize(end / cell + 1)];
    for (first, last, mark) in parts {
        let (first, last) = (u64_as_usize(first / cell), u64_as_usize(last / cell));
        let shown = cells.iter_mut().take(last + 1).skip(first);
        shown.for_each(|shown| *shown = (*shown).max(mark));
    }
    let size = PhysLen::new(cell);
    writeln!(out, "map, {size} per letter: {}", Mark::LEGEND)?;
    let mut is_gap = false;
    for (index, row) in cells.chunks(u64_as_usize(COLUMNS)).enumerate() {
        if row.iter().all(|&mark| mark == Mark::Nothing) {
            if !is_gap {
                writeln!(out, "{:>18}", "...")?;
            }
            is_gap = true;
            continue;
        }
        is_gap = false;
        let start = usize_as_u64(index) * COLUMNS * cell;
        let letters: String = row.iter().map(|mark| mark.letter()).collect();
        writeln!(out, "{start:>#18x}  {letters}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(parts: &[(u64, u64, Mark)]) -> Vec<String> {
        let parts: Vec<Part> = parts
            .iter()
            .map(|&(start, end, mark)| (start, end - 1, mark))
            .collect();
        let mut out = Vec::new();
        draw(parts.into_iter(), &mut out).unwrap();
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
        assert!(lines[0].starts_with("map, 8 MiB per letter"), "{lines:?}");
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
