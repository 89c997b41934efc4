// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checks of continuous integration, which anyone can run first.

use crate::setup::{self, cargo_deny};
use anyhow::{Context, Result, bail};
use linpmem_testkit::build_kind::QUICK_VARIABLE;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Something to check.
struct Check {
    name: &'static str,
    run: fn() -> Result<()>,
}

/// How long tests run that otherwise run for a minute.
const SHORT_SECONDS: &str = "15";

/// The quick ones first.
const CHECKS: &[Check] = &[
    Check {
        name: "format",
        run: format,
    },
    Check {
        name: "clippy",
        run: clippy,
    },
    Check {
        name: "documentation",
        run: documentation,
    },
    Check {
        name: "setup",
        run: || setup::ensure(&Cache::open()?, setup::ALL),
    },
    Check {
        name: "licences",
        run: licences,
    },
    // The commands that the README gives.
    Check {
        name: "tests",
        run: || xtask("test"),
    },
    Check {
        name: "fuzz",
        run: || xtask("fuzz"),
    },
    Check {
        name: "demo",
        run: || xtask("demo"),
    },
];

/// Builds that later checks need, as arguments of this program. Each goes to a folder
/// that no earlier check uses.
const AHEAD: &[&[&str]] = &[
    &["dist", "--build-only"],
    &["dist", "programs", "--target", "aarch64", "--build-only"],
    &["fuzz", "--build-only"],
];

/// Runs `cargo xtask ci`: every check, even if one fails.
pub fn run() -> Result<()> {
    let started = Instant::now();
    let program = env::current_exe().context("cannot find this program's file")?;
    let ahead = thread::spawn(move || build_ahead(&program));
    let mut outcomes = Vec::new();
    for check in CHECKS {
        println!("[ci] {}", check.name);
        let start = Instant::now();
        let outcome = (check.run)();
        let took = start.elapsed();
        match &outcome {
            Ok(()) => println!("[ci] {}: passed in {:.1} s", check.name, took.as_secs_f64()),
            Err(error) => println!("[ci] {}: FAILED: {error:#}", check.name),
        }
        outcomes.push((check.name, took, outcome.is_ok()));
    }
    let outcome = summarise(&outcomes, started.elapsed());
    let _ = ahead.join();
    outcome
}

/// Uses the time when checks leave a processor idle: while virtual machines boot, and
/// while a link runs on one thread. The check that needs a build reports its errors.
fn build_ahead(program: &Path) {
    for args in AHEAD {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(program).args(*args);
        command.env(QUICK_VARIABLE, "1");
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        let _ = quiet.stderr(Stdio::null()).status();
    }
}

fn summarise(outcomes: &[(&str, Duration, bool)], total: Duration) -> Result<()> {
    println!("[ci] summary");
    for (name, took, passed) in outcomes {
        let verdict = if *passed { "passed" } else { "FAILED" };
        println!("[ci]   {name:16} {verdict} {:8.1} s", took.as_secs_f64());
    }
    println!("[ci]   {:16}        {:8.1} s", "total", total.as_secs_f64());
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, _, passed)| !passed)
        .map(|(name, _, _)| *name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn format() -> Result<()> {
    succeed(checkout::cargo().args(["fmt", "--all", "--check"]))?;
    // The module's shells are no cargo packages.
    let mut files: Vec<PathBuf> = Vec::new();
    for shell in ["rfl", "shell", "fitted"] {
        let dir = checkout::dir().join("kmod").join(shell);
        let entries =
            fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        for entry in entries {
            files.push(entry?.path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2021"]).args(&files);
    succeed(&mut rustfmt)
}

/// Packages of whose Cargo features each has to build without the others, with the folders of the
/// packages and their features. The packages also have to build without any.
const FEATURES: [(&str, &str, &[&str]); 2] = [
    (
        "linpmem-formats",
        "formats",
        &["elf", "lime", "raw", "kdump", "avml", "aff4", "frames"],
    ),
    (
        "linpmem-dump",
        "dumper",
        &[
            "encrypt",
            "inspect",
            "mount",
            "remote",
            "report",
            "sign",
            "stores",
            "timestamp",
        ],
    ),
];

fn clippy() -> Result<()> {
    let lint = |scope: &[&str]| {
        let mut cargo = checkout::cargo();
        cargo.args(["clippy", "--locked"]).args(scope);
        succeed(cargo.args(["--", "-D", "warnings"]))
    };
    lint(&["--workspace", "--all-targets"])?;
    for (package, _, features) in FEATURES {
        let bare = ["--package", package, "--no-default-features"];
        lint(&bare)?;
        for feature in features {
            lint(&[&bare[..], &["--features", feature]].concat())?;
        }
    }
    Ok(())
}

fn documentation() -> Result<()> {
    let mut cargo = checkout::cargo();
    cargo.args(["doc", "--workspace", "--no-deps", "--locked"]);
    succeed(cargo.env("RUSTDOCFLAGS", "-D warnings"))
}

fn licences() -> Result<()> {
    let deny = cargo_deny::find(&Cache::open()?)
        .context("cargo-deny is not installed: run `cargo xtask setup`")?;
    let mut command = Command::new(deny);
    command.current_dir(checkout::dir());
    succeed(command.args(["--workspace", "check", "licenses", "bans", "sources"]))
}

/// One of our own commands, as a user would type it.
fn xtask(command: &str) -> Result<()> {
    const SECONDS: &str = "LINPMEM_TEST_SECONDS";
    let seconds = env::var(SECONDS).unwrap_or_else(|_| SHORT_SECONDS.to_owned());
    let mut cargo = checkout::cargo();
    succeed(cargo.args(["xtask", command]).env(SECONDS, seconds))
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        bail!("`{}` failed ({status})", words.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_the_formats_and_of_the_dumper_is_checked_alone() {
        for (package, folder, features) in FEATURES {
            let manifest = checkout::dir().join(folder).join("Cargo.toml");
            let manifest = fs::read_to_string(manifest).unwrap();
            let listed = manifest
                .lines()
                .find_map(|line| line.strip_prefix("default = ["))
                .and_then(|list| list.strip_suffix(']'))
                .unwrap();
            let listed: Vec<&str> = listed
                .split(", ")
                .map(|name| name.trim_matches('"'))
                .collect();
            assert_eq!(listed, features, "{package}");
        }
    }
}
