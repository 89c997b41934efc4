// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables and named values for a terminal.

use std::fmt::Display;
use std::io::{self, Write};

/// How the cells of a column are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// `text` without the control characters that a terminal would obey: images, and the
/// machines that they are of, are not trusted.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
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

/// Writes `rows` under `columns`, each as wide as its widest cell, two blanks apart.
///
/// # Errors
/// Those of `out`.
pub fn write<const N: usize>(
    out: &mut dyn Write,
    columns: [(&str, Align); N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = columns.map(|(name, _)| name.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: &[&str; N]| {
        let mut text = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(columns) {
            let cell = printable(cell);
            match align {
                Align::Left => text.push_str(&format!("{cell:<width$}  ")),
                Align::Right => text.push_str(&format!("{cell:>width$}  ")),
            }
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(&columns.map(|(name, _)| name))?;
    rows.iter()
        .try_for_each(|row| line(&row.each_ref().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let mut out = Vec::new();
        let columns = [("A", Align::Right), ("KIND", Align::Left)];
        let rows = [["100".to_owned(), "x".to_owned()]];
        write(&mut out, columns, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  A  KIND\n100  x\n");
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
