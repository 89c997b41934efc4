// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem`: parse, run, exit code.

#![forbid(unsafe_code)]

mod args;
mod cr3;
mod flags;
mod hexdump;
mod info;
mod module;
mod original;
mod ranges;
mod read;
mod vtop;

use anyhow::Result;
use args::{Cli, Command, SECTIONS};
use clap::CommandFactory;
use linpmem_cli::{ExitStatus, Manual, Program, Stderr};
use std::io::{self, Write};
use std::process::ExitCode;

/// Errors in words have the original's form.
const PROGRAM: Program = Program {
    name: "pmem",
    error_format: "pmem error",
    error_prefix: "Error: ",
};

fn main() -> ExitCode {
    PROGRAM.main(Cli::is_json, run)
}

fn run(cli: &Cli, stderr: Stderr) -> Result<ExitStatus> {
    let mut out = io::stdout().lock();
    let manual = || Manual {
        program: Cli::command(),
        sections: &SECTIONS,
    };
    let status = match &cli.command {
        None => original::run(&cli.original, stderr, &mut out),
        Some(Command::Info(args)) => info::run(args, &mut out),
        Some(Command::Ranges(args)) => ranges::run(*args, stderr, &mut out),
        Some(Command::Read(args)) => read::run(args, stderr, &mut out),
        Some(Command::Vtop(args)) => vtop::run(args, &mut out),
        Some(Command::Cr3(args)) => cr3::run(args, stderr, &mut out),
        Some(Command::Insmod(args)) => module::insmod(args, stderr, &mut out),
        Some(Command::Rmmod(args)) => module::rmmod(*args, &mut out),
        Some(Command::Completions { shell }) => {
            manual().completions(*shell, &mut out)?;
            Ok(ExitStatus::Complete)
        }
        Some(Command::Man { folder }) => {
            manual().pages(folder)?;
            Ok(ExitStatus::Complete)
        }
    }?;
    out.flush()?;
    Ok(status)
}
