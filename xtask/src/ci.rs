// SPDX-License-Identifier: MIT OR Apache-2.0
//! What continuous integration checks, and what anyone can check before it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::setup::{self, tools};
use crate::{checkout, dependencies};

/// The command line of `cargo xtask ci`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Something to check.
struct Check {
    name: &'static str,
    run: fn() -> Result<()>,
}

/// How long tests run here that otherwise run for a minute.
const SHORT_SECONDS: &str = "15";

/// In the order of what fails soonest.
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
        run: set_up,
    },
    Check {
        name: "licences",
        run: licences,
    },
    // The commands that the README gives.
    Check {
        name: "tests",
        run: || xtask(&["test"]),
    },
    Check {
        name: "fuzz",
        run: || xtask(&["fuzz"]),
    },
    Check {
        name: "demo",
        run: || xtask(&["demo"]),
    },
];

/// What later checks build, by the arguments of this program. Each into a folder of
/// cargo's that no check before them uses.
const AHEAD: &[&[&str]] = &[&["dist", "--build-only"], &["fuzz", "--build-only"]];

/// Runs `cargo xtask ci`: every check, also after one has failed.
///
/// # Errors
/// When a check fails.
pub fn run(_args: &Args) -> Result<()> {
    let started = Instant::now();
    let program = env::current_exe().context("where this program is")?;
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
    outcome?;
    if let Some(bytes) = dependencies::keep(&Cache::open()?)? {
        println!("[ci] kept {} MiB of dependencies in the cache", bytes >> 20);
    }
    Ok(())
}

/// Builds in the time that checks leave idle: virtual machines boot, and links have
/// one thread. What fails here fails in the check that needs it, and is told there.
fn build_ahead(program: &Path) {
    for args in AHEAD {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(program).args(*args);
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
    println!(
        "[ci]   {:16}        {:8.1} s",
        "in all",
        total.as_secs_f64()
    );
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
    cargo(&["fmt", "--all", "--check"], &[])?;
    // The module is no package of cargo's.
    let dir = checkout::dir().join("kmod/rfl");
    let mut files: Vec<PathBuf> = fs::read_dir(&dir)
        .with_context(|| format!("cannot list {}", dir.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2021"]).args(&files);
    succeed(&mut rustfmt)
}

/// The Cargo features of linpmem-formats. Each has to build without the others, and the
/// crate without any.
const FORMATS: [&str; 8] = ["", "elf", "lime", "raw", "kdump", "avml", "aff4", "frames"];

fn clippy() -> Result<()> {
    let lint = |scope: &[&str]| {
        let words = [&["clippy", "--locked"], scope, &["--", "-D", "warnings"]].concat();
        cargo(&words, &[])
    };
    lint(&["--workspace", "--all-targets"])?;
    let crate_alone = ["--package", "linpmem-formats", "--no-default-features"];
    FORMATS
        .iter()
        .try_for_each(|format| lint(&[&crate_alone[..], &["--features", format]].concat()))
}

fn documentation() -> Result<()> {
    cargo(
        &["doc", "--workspace", "--no-deps", "--locked"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

fn set_up() -> Result<()> {
    setup::ensure(&Cache::open()?, setup::ALL)
}

fn licences() -> Result<()> {
    let deny = tools::cargo_deny(&Cache::open()?)
        .context("there is no cargo-deny: run `cargo xtask setup`")?;
    let mut command = Command::new(deny);
    command.current_dir(checkout::dir());
    succeed(command.args(["--workspace", "check", "licenses", "bans", "sources"]))
}

/// A command of our own, as a user would type it.
fn xtask(args: &[&str]) -> Result<()> {
    let args: Vec<&str> = ["xtask"].iter().chain(args).copied().collect();
    let seconds = env::var("LINPMEM_TEST_SECONDS").unwrap_or_else(|_| SHORT_SECONDS.to_owned());
    cargo(&args, &[("LINPMEM_TEST_SECONDS", &seconds)])
}

fn cargo(args: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let cargo: OsString = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(checkout::dir())
        .args(args)
        .envs(variables.iter().copied());
    succeed(&mut command)
}

fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        let args: Vec<_> = command
            .get_args()
            .map(|arg| arg.to_string_lossy())
            .collect();
        bail!("`{name} {}` ended with {status}", args.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_the_formats_is_checked_alone() {
        let manifest = checkout::dir().join("formats/Cargo.toml");
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
        assert_eq!(listed, FORMATS[1..]);
    }
}
