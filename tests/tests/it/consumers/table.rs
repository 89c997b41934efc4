// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables in the documentation, one for each machine.

use std::fs;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use xtask::checkout;

use super::Cells;
use super::rows::{ROWS, TOOLS};

/// Compares the table with the one in the documentation, or writes it there.
pub fn compare(source: &str, cells: &Cells) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = checkout::dir().join("docs/consumers.md");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    // The mark in the page that a table follows.
    let mark = format!("<!-- table: {source} -->\n");
    let (before, rest) = text.split_once(&mark).context("no place for the table")?;
    let table = table(cells);
    if std::env::var_os("LINPMEM_BLESS").is_some_and(|value| value == "1") {
        let end = match rest.starts_with('|') {
            true => rest.find("\n\n").map_or(rest.len(), |end| end + 1),
            false => 0,
        };
        let after = rest.get(end..).unwrap_or_default();
        fs::write(&path, format!("{before}{mark}{table}{after}"))?;
        return Ok(());
    }
    ensure!(
        rest.starts_with(&table),
        "{} has another table than\n{table}\nwith LINPMEM_BLESS=1 the test writes it",
        path.display()
    );
    Ok(())
}

/// A line a program and format, since that is what one looks for.
fn table(cells: &Cells) -> String {
    let mut table = "| image | program | what it found |\n|---|---|---|\n".to_owned();
    for row in ROWS {
        let mut about = row.about;
        for tool in TOOLS {
            if let Some(found) = cells.get(&(row.about, *tool)) {
                table.push_str(&format!("| {about} | {tool} | {found} |\n"));
                about = "";
            }
        }
    }
    table
}
