// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables and named values for a terminal.

use crate::terminal::printable;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};

/// A wider cell moves those after it: the most that Rust pads to, beyond which it panics.
const MAX_WIDTH: usize = 65_535;

/// Text to write at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// How the cells of a column are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// Writes a value after its name, in the columns that `pmem info` uses too.
///
/// # Errors
/// Those of `out`.
pub fn value(out: &mut dyn Write, name: &str, value: impl Display) -> io::Result<()> {
    let value = printable(&value.to_string());
    writeln!(out, "{:<18} {value}", format!("{name}:"))
}

/// As [`value`], if there is a value.
///
/// # Errors
/// Those of `out`.
pub fn known_value(out: &mut dyn Write, name: &str, known: Option<impl Display>) -> io::Result<()> {
    known.map_or(Ok(()), |known| value(out, name, known))
}

/// Writes `rows` under `columns`, each as wide as its widest cell, two blanks apart. The
/// rows are made twice, and none is kept: an image may have a million.
///
/// # Errors
/// Those of `out`.
pub fn write<const N: usize>(
    out: &mut dyn Write,
    columns: [(&str, Align); N],
    rows: impl Iterator<Item = [String; N]> + Clone,
) -> io::Result<()> {
    let mut widths = columns.map(|(name, _)| name.chars().count());
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = (*width).max(cell.chars().count().min(MAX_WIDTH));
        }
    }
    let mut out = io::BufWriter::with_capacity(BUFFER_BYTES, out);
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        text.clear();
        for (index, (cell, (width, (_, align)))) in
            cells.iter().zip(widths.iter().zip(columns)).enumerate()
        {
            let cell = printable(cell);
            // Nothing is to the right of the last column.
            let width = match index + 1 == N && align == Align::Left {
                true => 0,
                false => *width,
            };
            // Writing to a string cannot fail.
            let _ = match align {
                Align::Left => write!(text, "{cell:<width$}  "),
                Align::Right => write!(text, "{cell:>width$}  "),
            };
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(columns.map(|(name, _)| name))?;
    for row in rows {
        line(row.each_ref().map(String::as_str))?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let mut out = Vec::new();
        let columns = [("A", Align::Right), ("KIND", Align::Left)];
        let rows = [["100".to_owned(), "x".to_owned()]];
        write(&mut out, columns, rows.into_iter()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  A  KIND\n100  x\n");
    }

    #[test]
    fn a_cell_of_any_length_is_written() {
        let long = "x".repeat(522_000);
        let rows = [
            ["1".to_owned(), long.clone()],
            [long.clone(), "2".to_owned()],
        ];
        for align in [Align::Left, Align::Right] {
            let mut out = Vec::new();
            let columns = [("A", align), ("B", align)];
            write(&mut out, columns, rows.clone().into_iter()).unwrap();
            let text = String::from_utf8(out).unwrap();
            let words: Vec<&str> = text.split_whitespace().collect();
            assert_eq!(words, ["A", "B", "1", &long, &long, "2"]);
        }
    }

    #[test]
    fn values_cannot_steer_the_terminal_or_forge_a_line() {
        let mut out = Vec::new();
        value(&mut out, "kernel", "6.1\x1b[2J\nstate: complete").unwrap();
        known_value(&mut out, "unknown", None::<u64>).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "kernel:            6.1\u{fffd}[2J\u{fffd}state: complete\n"
        );
    }
}
