// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump`: parse, run, exit code.

#![forbid(unsafe_code)]

use clap::Parser;
use linpmem_dump::args::{Cli, Command, ProgressStyle};
use linpmem_dump::commands::acquire::RunError;
use linpmem_dump::commands::{
    acquire, compare, extract, info, ls, ranges, recover, symbols, verify,
};
use linpmem_dump::text::voice::Voice;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let voice = Voice {
        is_json: match &cli.command {
            None => cli.acquire.run.progress == ProgressStyle::Json,
            Some(Command::Convert(args)) => args.run.progress == ProgressStyle::Json,
            Some(_) => false,
        },
    };
    match run(&cli, voice) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_closed_stdout(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Its causes are in its words.
            voice.fail(&error.to_string());
            let is_usage = matches!(error.downcast_ref(), Some(RunError::Usage(_)));
            ExitCode::from(if is_usage { USAGE } else { FAILED })
        }
    }
}

fn run(cli: &Cli, voice: Voice) -> anyhow::Result<u8> {
    let out = &mut io::stdout();
    Ok(match &cli.command {
        None => acquire::run(&cli.acquire, voice)?,
        Some(Command::Convert(args)) => acquire::convert(args, voice)?,
        Some(Command::Extract(args)) => extract::extract(args, out, |warning| voice.warn(warning))?,
        Some(Command::Compare(args)) => compare::compare(args, out)?,
        Some(Command::Verify(args)) => verify::verify(args, out)?,
        Some(Command::Ls(args)) => ls::list(&args.image, out).map(|()| 0)?,
        Some(Command::Recover(args)) => recover::recover(args, out).map(|()| 0)?,
        Some(Command::Info(args)) => info::info(args, out).map(|()| 0)?,
        Some(Command::Symbols(args)) => symbols::symbols(args, out).map(|()| 0)?,
        Some(Command::Ranges(args)) => ranges::ranges(args, out).map(|()| 0)?,
        Some(Command::ThawWatchdog) => {
            linpmem_capture::freeze::watch(io::stdin(), out).map(|()| 0)?
        }
    })
}

/// Whether whoever reads stdout has read enough: `linpmem-dump ranges | head`. An
/// image on a closed stdout is not that; its failure is part of the summary.
fn is_closed_stdout(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
