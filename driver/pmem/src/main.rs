// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem`: parse, run, exit code.

#![forbid(unsafe_code)]

mod args;
mod cr3;
mod hexdump;
mod info;
mod manual;
mod module;
mod original;
mod ranges;
mod read;
mod vtop;

use anyhow::Result;
use args::{Cli, Command};
use clap::Parser;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// The result of a command, for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The command worked, and the answer is no: an address is not mapped, or nothing
    /// could be read.
    Negative,
    /// Some pages could not be read.
    Partial,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Negative) => ExitCode::from(1),
        Ok(Outcome::Partial) => ExitCode::from(3),
        Err(error) if is_closed_stdout(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // In the original's form. If stderr is closed, the exit code still counts.
            let _ = writeln!(io::stderr(), "Error: {}", sentence(&error));
            ExitCode::from(1)
        }
    }
}

fn run(cli: &Cli) -> Result<Outcome> {
    let mut out = io::stdout().lock();
    let outcome = match &cli.command {
        None => original::run(&cli.original, &mut out),
        Some(Command::Info(args)) => info::run(args, &mut out),
        Some(Command::Ranges(args)) => ranges::run(*args, &mut out),
        Some(Command::Read(args)) => read::run(args, &mut out),
        Some(Command::Vtop(args)) => vtop::run(args, &mut out),
        Some(Command::Cr3(args)) => cr3::run(args, &mut out),
        Some(Command::Insmod(args)) => module::insmod(args, &mut out),
        Some(Command::Rmmod(args)) => module::rmmod(*args, &mut out),
        Some(Command::Completions { shell }) => manual::completions(*shell, &mut out),
        Some(Command::Man { folder }) => manual::pages(folder),
    }?;
    out.flush()?;
    Ok(outcome)
}

/// Writes one JSON document.
fn write_json(out: &mut dyn Write, document: &serde_json::Value) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, document).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Writes a line to stderr. If that is closed, the exit code still counts.
fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "pmem: {text}");
}

/// The error and its causes, without those that its text includes already.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether the reader of stdout has seen enough: `pmem read … | head`.
fn is_closed_stdout(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
