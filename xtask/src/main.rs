// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask`: the tools to set up, build, test and measure this workspace.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod demo;
mod dist;
mod dkms;
mod fuzz;
mod kmod;
mod object;
mod prepare;
mod release;
mod setup;
mod suites;
mod vm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The tools of the linpmem workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Download kernels, compilers and tools into the cache
    Setup(setup::Args),
    /// Make a kernel build folder with the rust/ metadata for a Debian kernel
    Kdir(setup::kdir::Args),
    /// Build linpmem.ko for a kernel and check its symbols
    Kmod(kmod::Args),
    /// Build static release binaries into target/dist
    Dist(dist::Args),
    /// Make the files of a release: archives, packages, sums, what they are made of
    Release(release::Args),
    /// Assemble the files of the DKMS package in target/dist/dkms
    Dkms(dkms::Args),
    /// Boot a kernel from the cache and run a command in it
    Vm(Box<vm::Args>),
    /// Acquire a virtual machine's memory and prove that the image is right
    Demo(demo::Args),
    /// Run all tests, or one suite
    Test(suites::Args),
    /// Feed hostile input to everything that parses files
    Fuzz(fuzz::Args),
    /// Run the benchmarks
    Bench(bench::Args),
    /// Run every check of continuous integration
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Kdir(args) => setup::kdir::run(&args),
        Command::Kmod(args) => kmod::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Release(args) => release::run(&args),
        Command::Dkms(args) => dkms::run(&args),
        Command::Vm(args) => vm::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => suites::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Ci => ci::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
