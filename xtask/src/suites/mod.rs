// SPDX-License-Identifier: MIT OR Apache-2.0
//! The test suites by name.

mod matrix;

use self::matrix::{Choice, Matrix};
use crate::setup::{self, Part};
use crate::{dist, prepare};
use anyhow::{Context, Result, bail};
use linpmem_testkit::artifacts::{MODULE_VARIABLE, ModuleKind};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::process::Stdio;
use std::time::Instant;

/// The command line of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One suite [default: all]
    suite: Option<String>,
    /// Kernels for the virtual machines: `all` for every stock kernel that the suite
    /// supports, or releases from the cache, separated by commas [default: the newest;
    /// for `sources` Debian's stable one]
    #[arg(long, requires = "suite")]
    kernels: Option<Choice>,
    /// Arguments for the test programs, such as a test's name or --nocapture
    #[arg(last = true)]
    rest: Vec<OsString>,
}

/// Tests that run together.
#[derive(Debug)]
struct Suite {
    name: &'static str,
    about: &'static str,
    /// Arguments for `cargo test` that select test programs.
    cargo: &'static [&'static str],
    /// Arguments for the test programs that select tests.
    tests: &'static [&'static str],
    /// The kernels that its tests support, if there is more than one.
    matrix: Option<Matrix>,
    /// The module that the tests load.
    module: ModuleKind,
    /// Makes what the tests need.
    prepare: fn() -> Result<()>,
}

/// The program of the end-to-end tests, which has a module for each suite. The whole
/// workspace is selected, so that nothing is built again with fewer features; no other
/// program has tests with these names.
const END_TO_END: &[&str] = &["--workspace", "--test", "it"];

const SUITES: &[Suite] = &[
    Suite {
        name: "unit",
        about: "the crates' own tests, without a virtual machine",
        cargo: &["--workspace", "--exclude", "linpmem-tests"],
        tests: &[],
        matrix: None,
        module: ModuleKind::Built,
        prepare: || Ok(()),
    },
    Suite {
        name: "vm",
        about: "acquisitions in virtual machines, compared with QEMU's view of the memory",
        cargo: END_TO_END,
        tests: &["vm::"],
        matrix: None,
        module: ModuleKind::Built,
        prepare: || prepare::machines().map(drop),
    },
    Suite {
        name: "aff4",
        about: "an acquisition to AFF4, checked by pyaff4",
        cargo: END_TO_END,
        tests: &["pyaff4::"],
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Pyaff4])?;
            prepare::machines().map(drop)
        },
    },
    Suite {
        name: "consumers",
        about: "images in every format, opened by crash, drgn, gdb, Volatility 3 and others",
        cargo: END_TO_END,
        tests: &["consumers::"],
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            let parts = [Part::Stable, Part::Consumers, Part::Volatility];
            setup::ensure(&Cache::open()?, &parts)?;
            prepare::machines().map(drop)
        },
    },
    Suite {
        name: "kmod",
        about: "the module, tested inside a virtual machine: every mode, every kind of page",
        cargo: END_TO_END,
        tests: &["kmod::"],
        matrix: Some(Matrix::Rust),
        module: ModuleKind::Built,
        prepare: || prepare::machines().map(drop),
    },
    Suite {
        name: "pipeline",
        about: "real faults: full disks, kill -9, closed pipes; programs frozen and thawed",
        cargo: END_TO_END,
        tests: &["pipeline::"],
        matrix: None,
        module: ModuleKind::Built,
        prepare: || prepare::machines().map(drop),
    },
    Suite {
        name: "pmem",
        about: "pmem and the libraries for Rust, C and Python, in a virtual machine",
        cargo: END_TO_END,
        tests: &["pmem::"],
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Hatchling])?;
            prepare::machines().map(drop)
        },
    },
    Suite {
        name: "sources",
        about: "acquisitions without our module, on the kernels of servers",
        cargo: END_TO_END,
        tests: &["sources::"],
        matrix: Some(Matrix::Servers),
        module: ModuleKind::Built,
        prepare: without_module,
    },
    Suite {
        name: "fit",
        about: "modules fitted to every kernel of the cache by its files alone, compared with other readers",
        cargo: &[
            "--workspace",
            "--features",
            "linpmem-fit/kernels",
            "--test",
            "kernels",
        ],
        tests: &[],
        matrix: None,
        module: ModuleKind::Fitted,
        prepare: || setup::ensure(&Cache::open()?, &[Part::Kernel, Part::Stable]),
    },
    Suite {
        name: "fitted",
        about: "the prebuilt module, fitted to the kernels of servers: all that `kmod` tests, and \
                programs that carry it",
        cargo: END_TO_END,
        tests: &["fitted::", "kmod::"],
        matrix: Some(Matrix::Fitted),
        module: ModuleKind::Fitted,
        prepare: without_module,
    },
];

/// The results of the tests.
#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Suites whose command failed.
    broken: Vec<&'static str>,
}

/// Runs `cargo xtask test`.
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
            "there is no test suite `{name}`. The suites are:{}",
            known.collect::<String>()
        );
    }
    let started = Instant::now();
    let mut tally = Tally::default();
    for suite in chosen {
        println!("[test] {}: {}", suite.name, suite.about);
        (suite.prepare)().with_context(|| format!("cannot prepare the suite `{}`", suite.name))?;
        let Some(kernels) = &args.kernels else {
            suite.run(suite.default_kernel()?.as_deref(), &args.rest, &mut tally)?;
            continue;
        };
        let matrix = suite.matrix.with_context(|| {
            format!(
                "--kernels is only for the suites `kmod`, `sources` and `fitted`, not for `{}`",
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
        bail!("no tests ran");
    }
    Ok(())
}

/// Makes what tests in virtual machines need if they do not use our module.
fn without_module() -> Result<()> {
    let cache = Cache::open()?;
    setup::ensure(&cache, &[Part::Tree])?;
    setup::ensure_kernel(&cache, &KernelPackage::stable())?;
    dist::build_programs()?;
    Ok(())
}

impl Suite {
    /// The kernel of all tests, unless each chooses its own.
    fn default_kernel(&self) -> Result<Option<String>> {
        match self.module {
            ModuleKind::Built => Ok(None),
            ModuleKind::Fitted => {
                let kernel = Kernel::chosen_or(&Cache::open()?, &KernelPackage::stable())?;
                Ok(Some(kernel.release().to_owned()))
            }
        }
    }

    /// Runs `cargo test`, shows its output, and counts the results.
    fn run(&self, kernel: Option<&str>, rest: &[OsString], tally: &mut Tally) -> Result<()> {
        let mut cargo = checkout::cargo();
        cargo.args(["test", "--no-fail-fast"]).args(self.cargo);
        cargo.arg("--").args(self.tests).args(rest);
        if let Some(release) = kernel {
            cargo.env(Kernel::CHOSEN, release);
        }
        cargo.env(MODULE_VARIABLE, self.module.name());
        if std::io::stdout().is_terminal() {
            cargo.env("CARGO_TERM_COLOR", "always");
        }
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo test")?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.context("cannot read the output of cargo test")?;
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
                *sum += number;
            }
        }
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
        tally.count("test passes ... ok");
        assert_eq!((tally.passed, tally.failed, tally.ignored), (5, 1, 1));
    }
}
