// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump`: parse, run, exit code.

#![forbid(unsafe_code)]

use clap::Parser;
use linpmem_dump::acquire::{AcquireError, acquire};
use linpmem_dump::args::{Cli, Command, ProgressStyle};
use linpmem_dump::{info, ranges, verify};
use std::process::ExitCode;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("{error:#}"));
            let is_usage = error
                .downcast_ref::<AcquireError>()
                .is_some_and(AcquireError::is_usage);
            ExitCode::from(if is_usage { USAGE } else { FAILED })
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<u8> {
    match &cli.command {
        None => {
            let command = std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            let summary = acquire(&cli.acquire, command, |warning| {
                complain(&format!("warning: {warning}"));
            })?;
            if cli.acquire.progress == ProgressStyle::Json {
                say_error(&summary.to_json());
            } else {
                complain(summary.to_string().trim_end());
            }
            Ok(summary.exit_code())
        }
        Some(Command::Verify(args)) => Ok(verify::verify(args, &mut std::io::stdout().lock())?),
        Some(Command::Info(args)) => {
            info::info(args, &mut std::io::stdout().lock())?;
            Ok(0)
        }
        Some(Command::Ranges(args)) => {
            ranges::ranges(args, &mut std::io::stdout().lock())?;
            Ok(0)
        }
    }
}

fn complain(words: &str) {
    say_error(&format!("linpmem-dump: {words}"));
}

/// A stderr that is gone changes nothing in what was done.
fn say_error(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
