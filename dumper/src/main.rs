// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump`: parse, run, exit code.

#![forbid(unsafe_code)]

use clap::Parser;
use linpmem_dump::acquire::{AcquireError, acquire};
use linpmem_dump::args::{AcquireArgs, Cli, Command, ProgressStyle};
use linpmem_dump::{aff4, compare, evidence, extract, freeze, info, ranges, symbols, verify};
use serde_json::json;
use std::io::{self, ErrorKind, Write};
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
            voice.say("error", &error.to_string());
            let is_usage = error
                .downcast_ref::<AcquireError>()
                .is_some_and(AcquireError::is_usage);
            ExitCode::from(if is_usage { USAGE } else { FAILED })
        }
    }
}

fn run(cli: &Cli, voice: Voice) -> anyhow::Result<u8> {
    let out = &mut io::stdout();
    match &cli.command {
        None => run_acquisition(&cli.acquire, voice),
        Some(Command::Convert(args)) => run_acquisition(&AcquireArgs::from(&**args), voice),
        Some(Command::Extract(args)) => {
            let warn = |warning: &str| voice.say("warning", warning);
            Ok(extract::extract(args, out, warn)?)
        }
        Some(Command::Compare(args)) => Ok(compare::compare(args, out)?),
        Some(Command::ThawWatchdog) => {
            freeze::watch(io::stdin(), out)?;
            Ok(0)
        }
        Some(Command::Verify(args)) => Ok(verify::verify(args, out)?),
        Some(Command::Ls(args)) => {
            evidence::list(&args.image, out)?;
            Ok(0)
        }
        Some(Command::Recover(args)) => {
            aff4::recover(args, out)?;
            Ok(0)
        }
        Some(Command::Info(args)) => {
            info::info(args, out)?;
            Ok(0)
        }
        Some(Command::Symbols(args)) => {
            symbols::symbols(args, out)?;
            Ok(0)
        }
        Some(Command::Ranges(args)) => {
            ranges::ranges(args, out)?;
            Ok(0)
        }
    }
}

fn run_acquisition(args: &AcquireArgs, voice: Voice) -> anyhow::Result<u8> {
    let command = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let warn = |warning: &str| voice.say("warning", warning);
    let summary = acquire(args, command, warn)?;
    if voice.is_json {
        to_stderr(&summary.to_json());
    } else {
        to_stderr(&format!("linpmem-dump: {}", summary.to_string().trim_end()));
    }
    Ok(summary.exit_code())
}

/// How stderr is spoken to.
#[derive(Clone, Copy)]
struct Voice {
    is_json: bool,
}

impl Voice {
    fn say(self, event: &str, message: &str) {
        to_stderr(&match (self.is_json, event) {
            (true, _) => json!({ "event": event, "message": message }).to_string(),
            (false, "error") => format!("linpmem-dump: {message}"),
            (false, _) => format!("linpmem-dump: {event}: {message}"),
        });
    }
}

/// A stderr that is gone changes nothing in what was done.
fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether someone has read enough: `linpmem-dump ranges | head`. An image on a
/// closed stdout is not that; its failure is part of the summary.
fn is_closed_stdout(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
