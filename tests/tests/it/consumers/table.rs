// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables in the documentation, one per machine.

use super::Cells;
use super::rows::{ROWS, TOOLS};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::checkout;
use std::fs;
use std::sync::{Mutex, PoisonError};

/// Compares the table with the one in the documentation, or updates that one.
pub fn compare(source: &str, cells: &Cells) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = checkout::dir().join("docs/consumers.md");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    // The table comes after this comment in the page.
    let mark = format!("<!-- table: {source} -->\n");
    let (before, rest) = text
        .split_once(&mark)
        .with_context(|| format!("no line {mark} in the page"))?;
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
        "{} does not have this table; run the test with LINPMEM_BLESS=1 to update it:\n{table}",
        path.display()
    );
    Ok(())
}

/// A line per image and program.
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
