// SPDX-License-Identifier: MIT OR Apache-2.0
//! What test programs say of their tests.

use anyhow::{Context, Result, bail};
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// The results of tests.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The tests one by one: whether each passed.
    tests: Vec<(String, bool)>,
    /// Suites whose command failed, and what else must not pass for a success.
    pub broken: Vec<String>,
}

impl Tally {
    /// Runs `cargo test`, shows its output, and counts the results. `name` is that of the
    /// tests.
    pub fn run(&mut self, mut cargo: Command, name: &str) -> Result<()> {
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo test")?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.context("cannot read the output of cargo test")?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                self.count(&line);
            }
        }
        let status = child.wait().context("cannot wait for cargo test")?;
        if !status.success() {
            self.broken.push(name.to_owned());
        }
        Ok(())
    }

    /// Counts a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …` or
    /// `test module::name ... ok`.
    pub fn count(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            self.tests.extend(one_test(line));
            return;
        };
        for count in counts.split([';', '.']) {
            let mut words = count.split_whitespace();
            let number: Option<u64> = words.next().and_then(|word| word.parse().ok());
            if let (Some(number), Some(what)) = (number, words.next()) {
                let sum = match what {
                    "passed" => &mut self.passed,
                    "failed" => &mut self.failed,
                    "ignored" => &mut self.ignored,
                    _ => continue,
                };
                *sum += number;
            }
        }
    }

    /// Adds the results of other tests.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.tests.extend(other.tests);
        self.broken.extend(other.broken);
    }

    /// Of the tests whose names begin with one of `prefixes`: how many passed, and all.
    pub fn of(&self, prefixes: &[&str]) -> (usize, usize) {
        let chosen = self
            .tests
            .iter()
            .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        let passed = chosen.clone().filter(|(_, passed)| *passed).count();
        (passed, chosen.count())
    }

    /// What is wrong with `filters`, which begin the names of the tests that were to run: one
    /// that no test has, or a test that ran because one is somewhere else in its name. A suite
    /// that lost its tests must not look as if they had passed.
    pub fn mismatches(&self, filters: &[&str]) -> Vec<String> {
        let unused = filters
            .iter()
            .filter(|filter| self.of(&[filter]).1 == 0)
            .map(|filter| format!("no test is called {filter}…"));
        let others = self
            .names()
            .filter(|name| !filters.iter().any(|filter| name.starts_with(filter)))
            .map(|name| format!("{name} ran, which is of no chosen suite"));
        unused.chain(others).collect()
    }

    /// The names of all tests.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(|(name, _)| name.as_str())
    }

    /// # Errors
    /// If something failed, or nothing ran.
    pub fn verdict(&self) -> Result<()> {
        if !self.broken.is_empty() {
            bail!("failed: {}", self.broken.join("; "));
        }
        if self.passed == 0 {
            bail!("no tests ran");
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.ignored {
            0 => Ok(()),
            ignored => write!(f, ", {ignored} ignored"),
        }
    }
}

/// The test that `line` gives the result of.
fn one_test(line: &str) -> Option<(String, bool)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    match result {
        "ok" => Some((name.to_owned(), true)),
        "FAILED" => Some((name.to_owned(), false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut tally = Tally::default();
        tally.count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.count(
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out",
        );
        assert_eq!(tally.to_string(), "5 passed, 1 failed, 1 ignored");
        assert!(tally.verdict().is_ok());
        tally.broken.push("unit".to_owned());
        assert!(tally.verdict().is_err());
        assert!(Tally::default().verdict().is_err());
    }

    #[test]
    fn tests_are_told_apart_by_name() {
        let mut tally = Tally::default();
        for line in [
            "test a::one ... ok",
            "test a::two ... FAILED",
            "test b::one has been running for over 60 seconds",
            "test b::one ... ok",
        ] {
            tally.count(line);
        }
        assert_eq!(tally.of(&["a::"]), (1, 2));
        assert_eq!(tally.of(&["a::one", "b::"]), (2, 2));
        assert_eq!(tally.of(&["c::"]), (0, 0));
        assert!(tally.mismatches(&["a::", "b::"]).is_empty());
        assert_eq!(
            tally.mismatches(&["a::", "b::", "c::"]),
            ["no test is called c::…"]
        );
        assert_eq!(
            tally.mismatches(&["a::"]),
            ["b::one ran, which is of no chosen suite"]
        );
    }
}
