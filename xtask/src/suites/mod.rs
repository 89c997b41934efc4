// SPDX-License-Identifier: MIT OR Apache-2.0
//! The test suites by name.

mod emulated;
mod matrix;
mod parts;
mod record;
mod tally;

use self::matrix::{Choice, Matrix};
use self::tally::Tally;
use crate::setup::{self, Part, kdir};
use crate::{dist, kmod, prepare, release};
use anyhow::{Context, Result, bail};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts::{MODULE_VARIABLE, ModuleKind};
use linpmem_testkit::build_kind::QUICK_VARIABLE;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use std::ffi::OsString;
use std::io::IsTerminal as _;
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
    /// Write the results into the table of docs/kernels.md (for the suite `fitted`)
    #[arg(long, requires = "kernels")]
    record: bool,
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
    /// Those of them that run when all suites do, if not all. With none the suite runs on
    /// request only.
    short: Option<&'static [&'static str]>,
    /// The kernels that its tests support, if there is more than one.
    matrix: Option<Matrix>,
    /// The module that the tests load.
    module: ModuleKind,
    /// Makes what the tests need.
    prepare: fn() -> Result<()>,
    /// Other tests of the suite, which need no virtual machine, or what only its full version
    /// needs; and whether all suites run.
    others: Option<fn(&mut Tally, bool) -> Result<()>>,
}

/// The program of the end-to-end tests, which has a module for each suite. The whole
/// workspace is selected, so that nothing is built again with fewer features; no other
/// program has tests with these names.
const END_TO_END: &[&str] = &["--workspace", "--test", "it"];

/// The end-to-end tests of the module on arm64.
const ON_ARM64: &str = "arm64::module::";

const SUITES: &[Suite] = &[
    Suite {
        name: "unit",
        about: "the crates' own tests, without a virtual machine",
        cargo: &["--workspace", "--exclude", "linpmem-tests"],
        tests: &[],
        short: None,
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            let parts = [
                Part::Tree,
                Part::Vouchers,
                Part::Browser,
                Part::S3,
                Part::Stores,
            ];
            setup::ensure(&Cache::open()?, &parts)
        },
        others: Some(parts::run),
    },
    Suite {
        name: "vm",
        about: "acquisitions in virtual machines, compared with QEMU's view of the memory",
        cargo: END_TO_END,
        tests: &["vm::"],
        short: None,
        matrix: None,
        module: ModuleKind::Built,
        prepare: || prepare::machines().map(drop),
        others: None,
    },
    Suite {
        name: "aff4",
        about: "an acquisition to AFF4, checked by pyaff4",
        cargo: END_TO_END,
        tests: &["pyaff4::"],
        short: None,
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Pyaff4])?;
            prepare::machines().map(drop)
        },
        others: None,
    },
    Suite {
        name: "consumers",
        about: "images in every format, opened by crash, drgn, gdb, Volatility 3 and others",
        cargo: END_TO_END,
        tests: &["consumers::"],
        short: None,
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            let parts = [Part::Stable, Part::Consumers, Part::Volatility];
            setup::ensure(&Cache::open()?, &parts)?;
            prepare::machines().map(drop)
        },
        others: None,
    },
    Suite {
        name: "inspect",
        about: "the kernel in an image, beside what the machine said of itself; hidden processes, damage; \
                images as folders",
        cargo: END_TO_END,
        tests: &["inspected::"],
        short: None,
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Searchers])?;
            prepare::machines().map(drop)
        },
        others: None,
    },
    Suite {
        name: "crowded",
        about: "what the image of a machine with 2,000 processes shows, in every format, beside what \
                the machine said; on the kernels of servers and of arm64",
        cargo: END_TO_END,
        tests: &["crowded::"],
        short: None,
        matrix: Some(Matrix::Inspected),
        module: ModuleKind::Built,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Vouchers])?;
            without_module()
        },
        others: None,
    },
    Suite {
        name: "kmod",
        about: "the module, tested inside a virtual machine: every mode, every kind of page",
        cargo: END_TO_END,
        tests: &["kmod::"],
        short: None,
        matrix: Some(Matrix::Rust),
        module: ModuleKind::Built,
        prepare: || prepare::machines().map(drop),
        others: None,
    },
    Suite {
        name: "pipeline",
        about: "real faults: full disks, kill -9, closed pipes; programs frozen and thawed",
        cargo: END_TO_END,
        tests: &["pipeline::"],
        short: None,
        matrix: None,
        module: ModuleKind::Built,
        prepare: || prepare::machines().map(drop),
        others: None,
    },
    Suite {
        name: "pmem",
        about: "pmem and the libraries for Rust, C and Python, in a virtual machine",
        cargo: END_TO_END,
        tests: &["pmem::"],
        short: None,
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Hatchling])?;
            prepare::machines().map(drop)
        },
        others: None,
    },
    Suite {
        name: "sources",
        about: "acquisitions without our module, on the kernels of servers",
        cargo: END_TO_END,
        tests: &["sources::"],
        short: None,
        matrix: Some(Matrix::Servers),
        module: ModuleKind::Built,
        prepare: without_module,
        others: None,
    },
    Suite {
        name: "remote",
        about: "acquisitions straight to a receiver and to stores of every kind, over lines with troubles",
        cargo: END_TO_END,
        tests: &["away::"],
        short: Some(&[
            "away::received::memory_read_by_the_module_arrives",
            "away::store_troubles::",
        ]),
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            let parts = [Part::S3, Part::Stores, Part::Servers, Part::Vouchers];
            setup::ensure(&Cache::open()?, &parts)?;
            without_module()?;
            prepare::machines().map(drop)
        },
        others: None,
    },
    Suite {
        name: "arm64",
        about: "acquisitions of arm64 machines, with all suites only one; the dumper's unit tests for arm64",
        cargo: END_TO_END,
        tests: &["arm64::", "--skip", ON_ARM64],
        short: Some(&["arm64::acquired::ram_is_what_qemu_sees"]),
        matrix: Some(Matrix::Arm64),
        module: ModuleKind::Built,
        prepare: || {
            let parts = [
                Part::Tree,
                Part::Drgn,
                Part::Consumers,
                Part::Arm64Tree,
                Part::Arm64Kernel,
                Part::Arm64Consumers,
            ];
            setup::ensure(&Cache::open()?, &parts)?;
            // The host's programs read the images. The tests build the others as they need them.
            dist::build_programs().map(drop)
        },
        others: Some(emulated::run),
    },
    Suite {
        name: "kmod-arm64",
        about: "the module on arm64, by itself, acquired through and by pmem; on request only",
        cargo: END_TO_END,
        tests: &[ON_ARM64],
        short: Some(&[]),
        matrix: Some(Matrix::Arm64Rust),
        module: ModuleKind::Built,
        prepare: || {
            let cache = Cache::open()?;
            setup::ensure(&cache, &[Part::Tree, Part::Arm64Tree])?;
            dist::build_programs_for(Arch::Aarch64)?;
            let kdir = kdir::of_default(&cache, Arch::Aarch64)?;
            kmod::build(&cache, &kdir).map(drop)
        },
        others: None,
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
        short: None,
        matrix: None,
        module: ModuleKind::Fitted,
        prepare: || setup::ensure(&Cache::open()?, &[Part::Kernel, Part::Stable]),
        others: None,
    },
    Suite {
        name: "fitted",
        about: "the prebuilt module, fitted to the kernels of servers: all that `kmod` tests, and \
                programs that carry it",
        cargo: END_TO_END,
        tests: &["fitted::", "kmod::", "pmem::"],
        // The decisions are the core's, which the suites `kmod` and `pmem` test: what reads and
        // walks page tables is this module's own.
        short: Some(&[
            "fitted::",
            "kmod::memory::",
            "kmod::pages::",
            "kmod::translation::",
            "pmem::library::",
        ]),
        matrix: Some(Matrix::Fitted),
        module: ModuleKind::Fitted,
        prepare: || {
            setup::ensure(&Cache::open()?, &[Part::Hatchling])?;
            without_module()
        },
        others: None,
    },
    Suite {
        name: "release",
        about: "the files of a release: what is in them, installed on Debian 12, 13 and sid, built \
                twice; with all suites only their content",
        cargo: END_TO_END,
        tests: &["release::"],
        short: Some(&["release::packed::"]),
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            let parts = [Part::Tree, Part::Hatchling, Part::Vouchers];
            setup::ensure(&Cache::open()?, &parts)?;
            release::make_default()
        },
        others: Some(|_, is_short| match is_short {
            true => Ok(()),
            false => {
                let cache = Cache::open()?;
                setup::ensure(&cache, &[Part::FreshTrees, Part::Judges])?;
                without_module()
            }
        }),
    },
    Suite {
        name: "dkms",
        about: "the DKMS package in a Debian system, its modules in machines, and who may read the \
                device; on request only",
        cargo: END_TO_END,
        tests: &["dkms::"],
        short: Some(&[]),
        matrix: None,
        module: ModuleKind::Built,
        prepare: || {
            let cache = Cache::open()?;
            setup::ensure(
                &cache,
                &[Part::Tree, Part::Kernel, Part::Kdir, Part::Stable],
            )?;
            setup::ensure_dkms(&cache)?;
            setup::ensure_kernel(&cache, &KernelPackage::newest_of(Arch::Aarch64))?;
            dist::build_programs().map(drop)
        },
        others: None,
    },
    Suite {
        name: "crates",
        about: "what is published in the Rust registry: packed, built alone, built by the oldest \
                compiler; on request only",
        cargo: END_TO_END,
        tests: &["crates::"],
        short: Some(&[]),
        matrix: None,
        module: ModuleKind::Built,
        prepare: || setup::ensure(&Cache::open()?, &[Part::Tree, Part::Arm64Tree]),
        others: None,
    },
];

/// Runs `cargo xtask test`.
pub fn run(args: &Args) -> Result<()> {
    let chosen: Vec<&Suite> = match &args.suite {
        None => SUITES
            .iter()
            .filter(|suite| !suite.is_on_request())
            .collect(),
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
    for suite in &chosen {
        println!("[test] {}: {}", suite.name, suite.about);
        (suite.prepare)().with_context(|| format!("cannot prepare the suite `{}`", suite.name))?;
        // Who names tests means those in machines.
        if let Some(others) = suite.others.filter(|_| args.rest.is_empty()) {
            others(&mut tally, args.suite.is_none())?;
        }
    }
    match (&args.kernels, chosen.as_slice()) {
        (Some(kernels), [suite]) => {
            run_on(suite, kernels, args, &mut tally)?;
        }
        _ => {
            for batch in Batch::of(&chosen) {
                let batch = Batch {
                    is_short: args.suite.is_none(),
                    ..batch
                };
                let kernel = batch.default_kernel()?;
                batch.run(kernel.as_deref(), &args.rest, &mut tally)?;
            }
        }
    }
    println!("[test] {tally}; {:.0} s", started.elapsed().as_secs_f64());
    tally.verdict()
}

impl Suite {
    /// Whether it does not run when all others do.
    fn is_on_request(&self) -> bool {
        self.short.is_some_and(<[_]>::is_empty)
    }
}

/// Runs `suite` on each of `kernels`.
fn run_on(suite: &Suite, kernels: &Choice, args: &Args, tally: &mut Tally) -> Result<()> {
    let matrix = suite.matrix.with_context(|| {
        format!(
            "--kernels is only for the suites `crowded`, `kmod`, `sources`, `arm64`, `kmod-arm64` and \
             `fitted`, not for `{}`",
            suite.name
        )
    })?;
    if args.record && matrix != Matrix::Fitted {
        bail!("--record is only for the suite `fitted`");
    }
    for kernel in kernels.kernels(&Cache::open()?, matrix)? {
        println!("[test] {} on {}", suite.name, kernel.release());
        let mut own = Tally::default();
        Batch::of(&[suite])
            .iter()
            .try_for_each(|batch| batch.run(Some(kernel.release()), &args.rest, &mut own))?;
        if args.record {
            record::write(kernel.release(), &own)?;
        }
        tally.add(own);
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

/// Suites that one `cargo test` runs. Their tests share the processors, so that no suite
/// waits for the last test of the one before.
struct Batch<'a> {
    suites: Vec<&'a Suite>,
    cargo: &'static [&'static str],
    module: ModuleKind,
    /// Whether only the short version of each suite runs.
    is_short: bool,
}

impl<'a> Batch<'a> {
    /// As few as possible, in the order of the first suite of each.
    fn of(suites: &[&'a Suite]) -> Vec<Self> {
        let mut batches: Vec<Self> = Vec::new();
        for &suite in suites {
            let same = batches
                .iter_mut()
                .find(|batch| batch.cargo == suite.cargo && batch.module == suite.module);
            match same {
                Some(batch) => batch.suites.push(suite),
                None => batches.push(Self {
                    suites: vec![suite],
                    cargo: suite.cargo,
                    module: suite.module,
                    is_short: false,
                }),
            }
        }
        batches
    }

    fn name(&self) -> String {
        let names: Vec<&str> = self.suites.iter().map(|suite| suite.name).collect();
        names.join(", ")
    }

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
        println!("[test] running {}", self.name());
        let mut cargo = checkout::cargo();
        cargo.args(["test", "--no-fail-fast"]).args(self.cargo);
        let tests = self.suites.iter().flat_map(|suite| match suite.short {
            Some(short) if self.is_short => short,
            _ => suite.tests,
        });
        let tests: Vec<&str> = tests.copied().collect();
        cargo.arg("--").args(&tests).args(rest);
        if let Some(release) = kernel {
            cargo.env(Kernel::CHOSEN, release);
        }
        cargo.env(MODULE_VARIABLE, self.module.name());
        if self.is_short {
            cargo.env(QUICK_VARIABLE, "1");
        }
        if std::io::stdout().is_terminal() {
            cargo.env("CARGO_TERM_COLOR", "always");
        }
        let mut own = Tally::default();
        own.run(cargo, &self.name())?;
        if rest.is_empty() {
            let names = tests.split(|word| *word == "--skip").next();
            let names = names.filter(|names| !names.is_empty());
            let mismatches = names.map(|names| own.mismatches(names));
            own.broken.extend(mismatches.unwrap_or_default());
        }
        tally.add(own);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_that_differ_in_nothing_but_their_tests_run_together() {
        let all: Vec<&Suite> = SUITES
            .iter()
            .filter(|suite| !suite.is_on_request())
            .collect();
        let batches: Vec<String> = Batch::of(&all).iter().map(Batch::name).collect();
        let together = "vm, aff4, consumers, inspect, crowded, kmod, pipeline, pmem, sources, remote, arm64, release";
        assert_eq!(batches, ["unit", together, "fit", "fitted"]);
    }
}
