// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fuzzing of what reads files from strangers. The targets are in the folders
//! `fuzz_targets` of [`PACKAGES`], their first inputs in `seeds`.
//!
//! libFuzzer and the compiler's own coverage instrumentation do it; neither a
//! nightly compiler nor cargo-fuzz is needed. There is no address sanitiser: the
//! readers are safe Rust. What counts as a finding is a panic, a hang, or memory
//! without bound.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use crate::checkout;

/// The command line of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One target [default: all, side by side]
    target: Option<String>,
    /// How long each runs
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Build the targets and run none
    #[arg(long)]
    build_only: bool,
}

/// The packages of targets, from the checkout's root.
const PACKAGES: [&str; 2] = ["formats/fuzz", "manifest/fuzz"];

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Counters at every edge, and the operands of comparisons: what libFuzzer learns
/// from. Overflows and debug assertions panic.
const FLAGS: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// An input may take this long, and this much memory.
const SECONDS_PER_INPUT: u32 = 20;
const MIB_OF_MEMORY: u32 = 2048;
const MAX_INPUT_BYTES: u32 = 1 << 16;

/// Runs `cargo xtask fuzz`.
///
/// # Errors
/// When a target cannot be built, or finds something.
pub fn run(args: &Args) -> Result<()> {
    if args.build_only {
        println!("[fuzz] {}", build()?.display());
        return Ok(());
    }
    let all = targets()?;
    let chosen: Vec<&String> = match &args.target {
        None => all.iter().collect(),
        Some(name) => all.iter().filter(|target| *target == name).collect(),
    };
    ensure!(
        !chosen.is_empty(),
        "there is no such target; there are: {}",
        all.join(", ")
    );
    run_targets(&chosen, args.seconds)
}

fn run_targets(chosen: &[&String], seconds: u64) -> Result<()> {
    let programs = build()?;
    let work = work();
    println!(
        "[fuzz] {} for {seconds} s each; corpus and findings in {}",
        chosen
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        work.display()
    );
    let mut running = Vec::new();
    for name in chosen {
        running.push((name.as_str(), start(&programs, &work, name, seconds)?));
    }
    let mut failed = Vec::new();
    for (name, mut child) in running {
        let status = child.wait().context("cannot wait for a target")?;
        let said = fs::read_to_string(log(&work, name)).unwrap_or_default();
        println!("[fuzz] {name}: {}", last_words(&said));
        if !status.success() {
            eprintln!("{}", tail(&said));
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} found something; the input is in {}",
            failed.join(", "),
            work.join("findings").display()
        );
    }
    Ok(())
}

/// The targets, by name.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in packages().map(|package| package.join("seeds")) {
        let entries = fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("listing {}", folder.display()))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn packages() -> impl Iterator<Item = PathBuf> {
    PACKAGES.iter().map(|package| checkout::dir().join(package))
}

/// The first inputs of the target `name`.
fn seeds(name: &str) -> Result<PathBuf> {
    packages()
        .map(|package| package.join("seeds").join(name))
        .find(|seeds| seeds.exists())
        .with_context(|| format!("the target {name} has no seeds"))
}

fn work() -> PathBuf {
    checkout::target_dir().join("fuzz/work")
}

fn log(work: &Path, name: &str) -> PathBuf {
    work.join(format!("{name}.log"))
}

/// Builds all targets; the folder that they are in.
fn build() -> Result<PathBuf> {
    let target = checkout::target_dir().join("fuzz");
    let cargo: OsString = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for package in packages() {
        let status = Command::new(&cargo)
            .current_dir(&package)
            .args(["build", "--quiet", "--release", "--locked", "--bins"])
            // Named in full, so that build scripts are not instrumented.
            .args(["--target", TRIPLE, "--target-dir"])
            .arg(&target)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", FLAGS.join(" "))
            .status()
            .context("cannot start cargo")?;
        ensure!(
            status.success(),
            "the fuzz targets in {} cannot be built ({status}); they need a C++ compiler for \
             libFuzzer",
            package.display()
        );
    }
    Ok(target.join(TRIPLE).join("release"))
}

fn start(programs: &Path, work: &Path, name: &str, seconds: u64) -> Result<Child> {
    let corpus = work.join("corpus").join(name);
    let findings = work.join("findings");
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let log = fs::File::create(log(work, name)).context("cannot write a log")?;
    Command::new(programs.join(name))
        .current_dir(work)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={SECONDS_PER_INPUT}"))
        .arg(format!("-rss_limit_mb={MIB_OF_MEMORY}"))
        .arg(format!("-max_len={MAX_INPUT_BYTES}"))
        .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
        .arg(&corpus)
        .arg(seeds(name)?)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start the target {name}"))
}

/// `Done 12345 runs in 31 second(s)`, and how much of the code was reached.
fn last_words(said: &str) -> String {
    let lines = || said.lines().rev().map(str::trim);
    let done = lines().find(|line| line.starts_with("Done "));
    let reached = lines().find(|line| line.contains(" cov: "));
    let reached = reached.and_then(|line| line.split_once(" cov: "));
    let edges = reached.and_then(|(_, rest)| rest.split(' ').next());
    match (done, edges) {
        (Some(done), Some(edges)) => format!("{done}, {edges} edges reached, no finding"),
        _ => "ended early".to_owned(),
    }
}

fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let from = lines.len().saturating_sub(30);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_summed_up() {
        let said = "#9\tNEW    cov: 12 ft: 30 corp: 2/4b\n\
                    #99\tDONE   cov: 1841 ft: 2572 corp: 280/16Kb\n\
                    Done 99 runs in 31 second(s)\n";
        assert_eq!(
            last_words(said),
            "Done 99 runs in 31 second(s), 1841 edges reached, no finding"
        );
        assert_eq!(last_words("panicked"), "ended early");
    }

    #[test]
    fn every_target_has_first_inputs() {
        let manifests = packages()
            .map(|package| fs::read_to_string(package.join("Cargo.toml")).unwrap());
        let manifest: String = manifests.collect();
        for name in targets().unwrap() {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
        let bins = manifest.matches("[[bin]]").count();
        assert_eq!(targets().unwrap().len(), bins);
    }
}
