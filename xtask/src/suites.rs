// SPDX-License-Identifier: MIT OR Apache-2.0
//! The test suites by name.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::matrix::{self, Choice, Matrix};
use crate::setup::{self, Part};
use crate::{checkout, dist, kmod};

/// The command line of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One suite [default: all]
    suite: Option<String>,
    /// Kernels for the tests in virtual machines: `all` for every stock kernel
    /// that the suite is for, or releases from the cache, divided by commas
    /// [default: the newest; for `sources` Debian's stable one]
    #[arg(long, requires = "suite")]
    kernels: Option<Choice>,
    /// Handed to the test programs, such as a test's name or --nocapture
    #[arg(last = true)]
    rest: Vec<OsString>,
}

/// A set of tests that run together.
#[derive(Debug)]
struct Suite {
    name: &'static str,
    about: &'static str,
    /// What to select with `cargo test`.
    cargo: &'static [&'static str],
    /// What to select among the tests.
    tests: &'static [&'static str],
    /// The kernels that its tests run on, if they run on more than one.
    matrix: Option<Matrix>,
    /// What has to be there first.
    prepare: fn() -> Result<()>,
}

/// Among others, the program of the end-to-end tests: a module for each suite. All
/// of the workspace is named, so that nothing is built a second time with fewer
/// features; the other programs have no tests of these names.
const END_TO_END: &[&str] = &["--workspace", "--test", "it"];

const SUITES: &[Suite] = &[
    Suite {
        name: "unit",
        about: "the crates' own tests, without a virtual machine",
        cargo: &["--workspace", "--exclude", "linpmem-tests"],
        tests: &[],
        matrix: None,
        prepare: || Ok(()),
    },
    Suite {
        name: "vm",
        about: "acquisitions in virtual machines, compared with QEMU's view",
        cargo: END_TO_END,
        tests: &["vm::"],
        matrix: None,
        prepare: machines,
    },
    Suite {
        name: "aff4",
        about: "an acquisition to AFF4, and what pyaff4 finds in it",
        cargo: END_TO_END,
        tests: &["pyaff4::"],
        matrix: None,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Pyaff4])?;
            machines()
        },
    },
    Suite {
        name: "consumers",
        about: "images in every format, opened by crash, drgn, gdb, Volatility 3 and others",
        cargo: END_TO_END,
        tests: &["consumers::"],
        matrix: None,
        prepare: || {
            let cache = Cache::open()?;
            setup::ensure(&cache, &[Part::Consumers, Part::Volatility])?;
            matrix::of_consumers(&cache)?;
            machines()
        },
    },
    Suite {
        name: "kmod",
        about: "the module from within a virtual machine: every mode, every kind of page",
        cargo: END_TO_END,
        tests: &["kmod::"],
        matrix: Some(Matrix::Rust),
        prepare: machines,
    },
    Suite {
        name: "pipeline",
        about: "faults made for real: full disks, kill -9, closed pipes; programs stopped and let go",
        cargo: END_TO_END,
        tests: &["pipeline::"],
        matrix: None,
        prepare: machines,
    },
    Suite {
        name: "pmem",
        about: "pmem and the libraries for Rust, C and Python, in a virtual machine",
        cargo: END_TO_END,
        tests: &["pmem::"],
        matrix: None,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Hatchling])?;
            machines()
        },
    },
    Suite {
        name: "sources",
        about: "memory without our module, on the kernels of servers",
        cargo: END_TO_END,
        tests: &["sources::"],
        matrix: Some(Matrix::Servers),
        prepare: without_module,
    },
];

/// What became of the tests.
#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Suites whose command failed, whatever their tests said.
    broken: Vec<&'static str>,
}

/// Runs `cargo xtask test`.
///
/// # Errors
/// When a test fails, or there is no such suite.
pub fn run(args: &Args) -> Result<()> {
    let chosen: Vec<&Suite> = match &args.suite {
        None => SUITES.iter().collect(),
        Some(name) => SUITES.iter().filter(|suite| suite.name == name).collect(),
    };
    if chosen.is_empty() {
        let known = SUITES
            .iter()
            .map(|suite| format!("\n    {:8} {}", suite.name, suite.about));
        let name = args.suite.as_deref().unwrap_or_default();
        bail!(
            "there is no test suite `{name}`; there are:{}",
            known.collect::<String>()
        );
    }
    let started = Instant::now();
    let mut tally = Tally::default();
    for suite in chosen {
        println!("[test] {}: {}", suite.name, suite.about);
        (suite.prepare)().with_context(|| format!("cannot prepare the suite `{}`", suite.name))?;
        let Some(kernels) = &args.kernels else {
            suite.run(None, &args.rest, &mut tally)?;
            continue;
        };
        let matrix = suite.matrix.with_context(|| {
            format!(
                "the suite `{}` is for the default kernel, or for none: --kernels is for `kmod` \
                 and `sources`",
                suite.name
            )
        })?;
        for kernel in kernels.kernels(&Cache::open()?, matrix)? {
            println!("[test] {} on {}", suite.name, kernel.release());
            suite.run(Some(kernel.release()), &args.rest, &mut tally)?;
        }
    }
    let ignored = if tally.ignored == 0 {
        String::new()
    } else {
        format!(", {} ignored", tally.ignored)
    };
    println!(
        "[test] {} passed, {} failed{ignored}; {:.0} s",
        tally.passed,
        tally.failed,
        started.elapsed().as_secs_f64()
    );
    if !tally.broken.is_empty() {
        bail!("tests failed in: {}", tally.broken.join(", "));
    }
    if tally.passed == 0 {
        bail!("no test has run");
    }
    Ok(())
}

/// What tests in virtual machines need.
pub(crate) fn machines() -> Result<()> {
    let cache = Cache::open()?;
    setup::ensure(
        &cache,
        &[
            Part::Root,
            Part::Kernel,
            Part::Debug,
            Part::Kdir,
            Part::Python,
        ],
    )?;
    kmod::build_default(&cache)?;
    dist::build()?;
    Ok(())
}

/// What tests in virtual machines without our module need.
fn without_module() -> Result<()> {
    let cache = Cache::open()?;
    setup::ensure(&cache, &[Part::Root])?;
    matrix::of_sources(&cache)?;
    dist::build()?;
    Ok(())
}

impl Suite {
    /// Runs cargo, shows what it says, and counts.
    fn run(&self, kernel: Option<&str>, rest: &[OsString], tally: &mut Tally) -> Result<()> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(checkout::dir())
            .args(["test", "--no-fail-fast"])
            .args(self.cargo);
        cargo.arg("--").args(self.tests).args(rest);
        if let Some(release) = kernel {
            cargo.env(Kernel::CHOSEN, release);
        }
        if std::io::stdout().is_terminal() {
            cargo.env("CARGO_TERM_COLOR", "always");
        }
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo test")?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.context("cannot read what cargo test says")?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                tally.count(&line);
            }
        }
        if !child
            .wait()
            .context("cannot wait for cargo test")?
            .success()
        {
            tally.broken.push(self.name);
        }
        Ok(())
    }
}

impl Tally {
    /// Counts a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn count(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
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
                *sum = sum.saturating_add(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed() {
        let mut tally = Tally::default();
        tally.count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.count(
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out",
        );
        tally.count("test passes ... ok");
        assert_eq!((tally.passed, tally.failed, tally.ignored), (5, 1, 1));
    }
}
