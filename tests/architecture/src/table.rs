// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of crates in docs/ARCHITECTURE.md.
//!
//! Its header is `| crate | folder | may use | what it is |`. Names of crates and folders
//! are in backquotes. In `may use`, crates after the word `tests:` may be used by tests,
//! examples and benches only.

use crate::crates::Crate;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;

const HEADER: &str = "| crate | folder | may use | what it is |";

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The crate's name.
    pub name: String,
    /// Its folder.
    pub folder: String,
    /// The crates that it may use.
    pub may_use: BTreeSet<String>,
    /// The crates that only its tests may use.
    pub tests_may_use: BTreeSet<String>,
}

/// Reads the table in `page`.
///
/// # Errors
/// When there is no such table, or a row of it is malformed.
pub fn parse(page: &str) -> Result<Vec<Row>> {
    let mut lines = page
        .lines()
        .skip_while(|line| line.trim() != HEADER)
        .skip(1);
    ensure!(
        lines.next().is_some_and(|line| line.starts_with("|---")),
        "there is no table with the header {HEADER}"
    );
    lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| row(line).with_context(|| format!("in the row {line}")))
        .collect()
}

fn row(line: &str) -> Result<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [name, folder, may_use, _] = cells.as_slice() else {
        anyhow::bail!("it has {} cells instead of 4", cells.len());
    };
    let (always, tests) = match may_use.split_once("tests:") {
        Some((always, tests)) => (always, tests),
        None => (*may_use, ""),
    };
    let only = |cell: &str| quoted(cell).into_iter().next();
    Ok(Row {
        name: only(name).context("no crate in backquotes")?,
        folder: only(folder).context("no folder in backquotes")?,
        may_use: quoted(always),
        tests_may_use: quoted(tests),
    })
}

/// The words in backquotes, without a slash at the end.
fn quoted(cell: &str) -> BTreeSet<String> {
    let words = cell.split('`').skip(1).step_by(2);
    words
        .map(|word| word.trim_end_matches('/').to_owned())
        .collect()
}

/// The differences between the table and the workspace's crates, in words.
#[must_use]
pub fn differences(rows: &[Row], crates: &[Crate]) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        if !crates.iter().any(|one| one.name == row.name) {
            found.push(format!(
                "{} is in the table, but not in the workspace",
                row.name
            ));
        }
    }
    for one in crates {
        let name = &one.name;
        let Some(row) = rows.iter().find(|row| row.name == *name) else {
            found.push(format!("{name} is not in the table"));
            continue;
        };
        if row.folder != one.folder {
            found.push(format!(
                "{name} is in {}, not in {}",
                one.folder, row.folder
            ));
        }
        for used in one.uses.difference(&row.may_use) {
            found.push(format!(
                "{name} uses {used}, which the table does not allow"
            ));
        }
        for unused in row.may_use.difference(&one.uses) {
            found.push(format!(
                "{name} no longer uses {unused}: remove it from the table"
            ));
        }
        let allowed_in_tests: BTreeSet<_> = row.may_use.union(&row.tests_may_use).collect();
        for used in &one.uses_in_tests {
            if !allowed_in_tests.contains(used) {
                found.push(format!(
                    "tests of {name} use {used}, which the table does not allow"
                ));
            }
        }
        for unused in row.tests_may_use.difference(&one.uses_in_tests) {
            found.push(format!(
                "tests of {name} no longer use {unused}: remove it from the table"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# A page

| crate | folder | may use | what it is |
|---|---|---|---|
| `a` | `a/` | – | the first |
| `b` | `c/b/` | `a` | the second, in `words` |
| `d` | `d/` | `a`, `b`; tests: `e` | the third |

| other | table |
";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn one(name: &str, folder: &str, uses: &[&str], uses_in_tests: &[&str]) -> Crate {
        Crate {
            name: name.to_owned(),
            folder: folder.to_owned(),
            uses: set(uses),
            uses_in_tests: set(uses_in_tests),
            roots: Vec::new(),
        }
    }

    #[test]
    fn the_table_is_found_and_read() {
        let rows = parse(PAGE).unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "d"]);
        assert_eq!(rows[1].folder, "c/b");
        assert_eq!(rows[0].may_use, set(&[]));
        assert_eq!(rows[2].may_use, set(&["a", "b"]));
        assert_eq!(rows[2].tests_may_use, set(&["e"]));
        assert!(parse("no table\n").is_err());
        assert!(parse(&PAGE.replace("| the first |", "|")).is_err());
    }

    #[test]
    fn every_difference_is_named() {
        let rows = parse(PAGE).unwrap();
        let right = [
            one("a", "a", &[], &[]),
            one("b", "c/b", &["a"], &["a"]),
            one("d", "d", &["a", "b"], &["b", "e"]),
        ];
        assert_eq!(differences(&rows, &right), Vec::<String>::new());
        let wrong = [
            one("a", "x", &["b"], &["e"]),
            one("b", "c/b", &[], &[]),
            one("f", "f", &[], &[]),
        ];
        assert_eq!(
            differences(&rows, &wrong),
            [
                "d is in the table, but not in the workspace",
                "a is in x, not in a",
                "a uses b, which the table does not allow",
                "tests of a use e, which the table does not allow",
                "b no longer uses a: remove it from the table",
                "f is not in the table",
            ]
        );
        let unused = [one("d", "d", &["a", "b"], &[])];
        let found = differences(&rows[2..], &unused);
        assert_eq!(
            found,
            ["tests of d no longer use e: remove it from the table"]
        );
    }
}
