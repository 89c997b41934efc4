// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fuzzing of the code that parses files from strangers. Each crate with such code has a
//! package `fuzz`: the targets are in its `fuzz_targets`, their first inputs in `seeds`.
//!
//! This takes only libFuzzer and the stable compiler's coverage instrumentation, neither
//! a nightly compiler nor cargo-fuzz. There is no address sanitiser, as the readers are
//! safe Rust. A finding is a panic, a hang, or unbounded memory use.

use anyhow::{Context, Result, bail, ensure};
use linpmem_testkit::checkout;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// The command line of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One target [default: all, in parallel]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Build the targets, but do not run them
    #[arg(long)]
    build_only: bool,
}

/// Named explicitly, so that build scripts are not instrumented.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Counters at every edge, and the operands of comparisons: what libFuzzer learns from.
/// Overflows and debug assertions panic.
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

/// The limits for one input.
const SECONDS_PER_INPUT: u32 = 20;
const MIB_OF_MEMORY: u32 = 2048;
const MAX_INPUT_BYTES: u32 = 1 << 16;

/// A fuzz target.
#[derive(Clone, Debug)]
struct Target {
    name: String,
    package: PathBuf,
    seeds: PathBuf,
}

/// Runs `cargo xtask fuzz`.
pub fn run(args: &Args) -> Result<()> {
    if args.build_only {
        println!("[fuzz] {}", build(&packages()?)?.display());
        return Ok(());
    }
    let all = targets()?;
    let mut chosen = all.clone();
    if let Some(name) = &args.target {
        chosen.retain(|target| target.name == *name);
    }
    ensure!(
        !chosen.is_empty(),
        "there is no such target. The targets are: {}",
        names(&all)
    );
    run_targets(&chosen, args.seconds)
}

fn run_targets(chosen: &[Target], seconds: u64) -> Result<()> {
    let mut packages: Vec<PathBuf> = chosen.iter().map(|target| target.package.clone()).collect();
    packages.dedup();
    let programs = build(&packages)?;
    let work = checkout::target_dir().join("fuzz/work");
    println!(
        "[fuzz] {} for {seconds} s each; corpus and findings are in {}",
        names(chosen),
        work.display()
    );
    let log = |target: &Target| work.join(format!("{}.log", target.name));
    let mut running = Vec::new();
    for target in chosen {
        let child = start(&programs, &work, target, &log(target), seconds)?;
        running.push((target, child));
    }
    let mut failed = Vec::new();
    for (target, mut child) in running {
        let status = child.wait().context("cannot wait for a target")?;
        let output = fs::read_to_string(log(target)).unwrap_or_default();
        println!("[fuzz] {}: {}", target.name, summary(&output));
        if !status.success() {
            eprintln!("{}", tail(&output));
            failed.push(target.clone());
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} failed; the inputs are in {}",
            names(&failed),
            work.join("findings").display()
        );
    }
    Ok(())
}

/// The folders `fuzz` of the workspace's crates.
fn packages() -> Result<Vec<PathBuf>> {
    let crates = entries(&checkout::dir())?;
    let packages = crates.into_iter().map(|package| package.join("fuzz"));
    Ok(packages
        .filter(|package| package.join("Cargo.toml").is_file())
        .collect())
}

fn targets() -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for package in packages()? {
        for seeds in entries(&package.join("seeds"))? {
            let name = seeds.file_name().unwrap_or_default();
            targets.push(Target {
                name: name.to_string_lossy().into_owned(),
                package: package.clone(),
                seeds,
            });
        }
    }
    Ok(targets)
}

/// The entries of a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).and_then(|list| {
        list.map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()
    });
    let mut list = list.with_context(|| format!("cannot list {}", folder.display()))?;
    list.sort();
    Ok(list)
}

fn names(targets: &[Target]) -> String {
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    names.join(", ")
}

/// Builds the targets of `packages`, and returns the folder that has them.
fn build(packages: &[PathBuf]) -> Result<PathBuf> {
    let target = checkout::target_dir().join("fuzz");
    for package in packages {
        let status = checkout::cargo()
            .current_dir(package)
            .args(["build", "--quiet", "--release", "--locked", "--bins"])
            .args(["--target", TRIPLE, "--target-dir"])
            .arg(&target)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", FLAGS.join(" "))
            .status()
            .context("cannot start cargo")?;
        ensure!(
            status.success(),
            "cargo failed to build {} ({status}); libFuzzer needs a C++ compiler",
            package.display()
        );
    }
    Ok(target.join(TRIPLE).join("release"))
}

fn start(programs: &Path, work: &Path, target: &Target, log: &Path, seconds: u64) -> Result<Child> {
    let name = &target.name;
    let corpus = work.join("corpus").join(name);
    let findings = work.join("findings");
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let log = fs::File::create(log).context("cannot write a log")?;
    Command::new(programs.join(name))
        .current_dir(work)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={SECONDS_PER_INPUT}"))
        .arg(format!("-rss_limit_mb={MIB_OF_MEMORY}"))
        .arg(format!("-max_len={MAX_INPUT_BYTES}"))
        .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
        .arg(&corpus)
        .arg(&target.seeds)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start the target {name}"))
}

/// The number of runs, from `Done 12345 runs in 31 second(s)`, and how many edges of the
/// code they reached.
fn summary(output: &str) -> String {
    let lines = || output.lines().rev().map(str::trim);
    let done = lines().find(|line| line.starts_with("Done "));
    let reached = lines().find(|line| line.contains(" cov: "));
    let reached = reached.and_then(|line| line.split_once(" cov: "));
    let edges = reached.and_then(|(_, rest)| rest.split(' ').next());
    match (done, edges) {
        (Some(done), Some(edges)) => format!("{done}, {edges} edges reached, no findings"),
        _ => "ended early".to_owned(),
    }
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let from = lines.len().saturating_sub(30);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_summarised() {
        let output = "#9\tNEW    cov: 12 ft: 30 corp: 2/4b\n\
                      #99\tDONE   cov: 1841 ft: 2572 corp: 280/16Kb\n\
                      Done 99 runs in 31 second(s)\n";
        assert_eq!(
            summary(output),
            "Done 99 runs in 31 second(s), 1841 edges reached, no findings"
        );
        assert_eq!(summary("panicked"), "ended early");
    }

    #[test]
    fn every_target_has_seeds() {
        let targets = targets().unwrap();
        assert!(!targets.is_empty());
        for package in packages().unwrap() {
            let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
            let seeds = package.join("seeds");
            let of_package = targets
                .iter()
                .filter(|target| target.seeds.starts_with(&seeds));
            let mut count = 0;
            for Target { name, .. } in of_package {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
                count += 1;
            }
            assert_eq!(manifest.matches("[[bin]]").count(), count);
        }
    }
}
