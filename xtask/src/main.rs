// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask`: parse, run, exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, ci, demo, dist, fuzz, kdir, kmod, setup, suites, vm};

/// The tools of the linpmem workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch kernels, compilers and tools into the cache
    Setup(setup::Args),
    /// Make a kernel build folder with the rust/ metadata for a Debian kernel
    Kdir(kdir::Args),
    /// Build linpmem.ko for a kernel and check its symbols
    Kmod(kmod::Args),
    /// Build static release binaries into target/dist
    Dist(dist::Args),
    /// Boot a kernel from the cache and run a command in it
    Vm(Box<vm::Args>),
    /// Acquire a virtual machine's memory for real and prove the image right
    Demo(demo::Args),
    /// Run every test, or one suite
    Test(suites::Args),
    /// Look for input that makes a reader panic or hang
    Fuzz(fuzz::Args),
    /// Run the benchmarks
    Bench(bench::Args),
    /// Everything that continuous integration checks
    Ci(ci::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Kdir(args) => kdir::run(&args),
        Command::Kmod(args) => kmod::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Vm(args) => vm::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => suites::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Ci(args) => ci::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
