// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table in docs/kernels.md of the kernels that the fitted module was run on.

use super::tally::Tally;
use anyhow::{Context, Result, bail};
use linpmem_testkit::checkout;
use std::fs;

/// The columns behind the kernel's: a heading, and the tests that it stands for.
const COLUMNS: &[(&str, &[&str])] = &[
    (
        "loaded, unloaded",
        &["kmod::device_semantics::", "fitted::other_kernel::"],
    ),
    ("read", &["kmod::memory::", "kmod::storm::"]),
    ("absent pages", &["kmod::pages::", "kmod::hotplug::"]),
    ("devices untouched", &["kmod::reserved::"]),
    ("translated", &["kmod::translation::"]),
    ("clients", &["pmem::"]),
    ("one binary", &["fitted::one_binary::"]),
    ("vectors", &["fitted::vectors::"]),
];

/// What the table is between, in the file.
const BEGIN: &str = "<!-- cargo xtask test fitted --kernels all --record -->\n";
const END: &str = "<!-- end of the table -->\n";

/// Writes the row of the kernel `release`.
pub fn write(release: &str, tally: &Tally) -> Result<()> {
    let path = checkout::dir().join("docs/kernels.md");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let row = row(release, tally)?;
    let text = with_row(&text, &row).with_context(|| format!("in {}", path.display()))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The row of a kernel.
fn row(release: &str, tally: &Tally) -> Result<String> {
    let all: Vec<&str> = COLUMNS
        .iter()
        .flat_map(|(_, tests)| *tests)
        .copied()
        .collect();
    let other = tally
        .names()
        .find(|name| !all.iter().any(|prefix| name.starts_with(prefix)));
    if let Some(name) = other {
        bail!("the table has no column for the test {name}");
    }
    let cells = COLUMNS.iter().map(|(_, tests)| match tally.of(tests) {
        (_, 0) => "–".to_owned(),
        (passed, all) if passed == all => format!("{passed} passed"),
        (passed, all) => format!("**{} of {all} failed**", all - passed),
    });
    let cells: Vec<String> = [release.to_owned()].into_iter().chain(cells).collect();
    Ok(format!("| {} |", cells.join(" | ")))
}

/// `text` with `row` in its table, in the place of the kernel's older row.
fn with_row(text: &str, row: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("no table")?;
    let (table, after) = rest.split_once(END).context("no end of the table")?;
    let kernel = |row: &str| row.split('|').nth(1).map(|name| name.trim().to_owned());
    let mut rows: Vec<&str> = table
        .lines()
        .skip(2)
        .filter(|old| kernel(old) != kernel(row))
        .collect();
    rows.push(row);
    rows.sort_by_key(|row| kernel(row).map(|name| numbers(&name)));
    let headings: Vec<&str> = ["kernel"]
        .into_iter()
        .chain(COLUMNS.iter().map(|(heading, _)| *heading))
        .collect();
    let head = format!("| {} |", headings.join(" | "));
    let rule = format!("|{}", "---|".repeat(headings.len()));
    let lines = [head.as_str(), rule.as_str()].into_iter().chain(rows);
    let table: String = lines.map(|line| format!("{line}\n")).collect();
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

/// The numbers in a release, so that 5.10 comes before 6.1 and 6.2 before 6.12; then its
/// words.
fn numbers(release: &str) -> (Vec<u64>, String) {
    let numbers = release
        .split(|char: char| !char.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    (numbers, release.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.count(line));
        tally
    }

    #[test]
    fn a_row_says_what_passed_what_failed_and_what_was_not_run() {
        let tally = tally(&[
            "test kmod::memory::a ... ok",
            "test kmod::storm::b ... ok",
            "test kmod::pages::c ... FAILED",
            "test kmod::hotplug::d ... ok",
        ]);
        assert_eq!(
            row("6.1.0-x", &tally).unwrap(),
            "| 6.1.0-x | – | 2 passed | **1 of 2 failed** | – | – | – | – | – |"
        );
    }

    #[test]
    fn a_test_without_a_column_is_an_error() {
        assert!(row("6.1.0-x", &tally(&["test kmod::new::a ... ok"])).is_err());
    }

    #[test]
    fn a_kernels_row_takes_the_place_of_its_older_one() {
        let text = format!("a\n{BEGIN}| x |\n|---|\n| 6.12.1-b | old |\n{END}b\n");
        let text = with_row(&text, "| 6.1.0-a | first |").unwrap();
        let text = with_row(&text, "| 6.12.1-b | new |").unwrap();
        let rows: Vec<&str> = text.lines().skip(4).take(2).collect();
        assert_eq!(rows, ["| 6.1.0-a | first |", "| 6.12.1-b | new |"]);
        assert!(text.ends_with(&format!("{END}b\n")));
        assert!(with_row("no table", "| a |").is_err());
    }
}
