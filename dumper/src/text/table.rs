// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables for people.

use std::io::{self, Write};

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Writes `rows` under `columns`, each as wide as its widest cell, two blanks apart.
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
}
