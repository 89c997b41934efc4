// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump`: parse, run, exit code.

#![forbid(unsafe_code)]

use clap::Parser;
use linpmem_dump::args::{Cli, Command, UsageError};
use linpmem_dump::commands::acquire::RunError;
use linpmem_dump::commands::verify::VerifyCommandError;
use linpmem_dump::commands::{
    acquire, compare, extract, info, ls, manual, ranges, recover, symbols, verify,
};
use linpmem_dump::exit_status::ExitStatus;
use linpmem_dump::text::stderr::Stderr;
use linpmem_dump::text::{Document, StdoutError};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let status = match Cli::try_parse_from(&words) {
        Ok(cli) => run(&cli),
        Err(error) => explain(&error, &words),
    };
    status.into()
}

/// Prints what the parser has to say: what is wrong, or the help that was asked for.
fn explain(error: &clap::Error, words: &[OsString]) -> ExitStatus {
    if !error.use_stderr() {
        // A closed stdout wants no help.
        let _ = error.print();
        return ExitStatus::Complete;
    }
    if Cli::asks_for_json(words.iter().map(OsString::as_os_str)) {
        let message = error.render().to_string();
        let message = message.trim_start_matches("error: ").trim_end();
        Stderr { is_json: true }.fail(message, ExitStatus::Usage);
    } else {
        let _ = error.print();
    }
    ExitStatus::Usage
}

fn run(cli: &Cli) -> ExitStatus {
    let stderr = Stderr {
        is_json: cli.is_json(),
    };
    match carry_out(cli, stderr) {
        Ok(status) => status,
        Err(error) if is_closed_stdout(&error) => ExitStatus::Complete,
        Err(error) => {
            let status = status_of(&error);
            // The message contains those of its causes.
            stderr.fail(&error.to_string(), status);
            status
        }
    }
}

fn carry_out(cli: &Cli, stderr: Stderr) -> anyhow::Result<ExitStatus> {
    let out = &mut io::stdout();
    let json = stderr.is_json;
    match &cli.command {
        None => return Ok(acquire::run(&cli.acquire, stderr)?),
        Some(Command::Convert(args)) => return Ok(acquire::convert(args, stderr)?),
        Some(Command::Compare(args)) => return Ok(compare::compare(args, out)?),
        Some(Command::Extract(args)) => {
            let document = extract::extract(args, out)?;
            stderr.summary(&document);
            return Ok(document.exit_status());
        }
        Some(Command::Verify(args)) => {
            let document = verify::verify(args)?;
            document.print(json, out)?;
            return Ok(ExitStatus::of_comparison(document.good));
        }
        Some(Command::Ls(args)) => ls::list(args)?.print(json, out)?,
        Some(Command::Recover(args)) => recover::recover(args)?.print(json, out)?,
        Some(Command::Info(args)) => info::info(args)?.print(json, out)?,
        Some(Command::Symbols(args)) => symbols::symbols(args)?.print(json, out)?,
        Some(Command::Ranges(args)) => ranges::ranges(args)?.print(json, out)?,
        Some(Command::Completions { shell }) => {
            manual::completions(*shell, out).map_err(StdoutError::from)?;
        }
        Some(Command::Man { folder }) => manual::pages(folder)?,
        Some(Command::ThawWatchdog) => linpmem_capture::freeze::watch(io::stdin(), out)?,
    }
    Ok(ExitStatus::Complete)
}

fn status_of(error: &anyhow::Error) -> ExitStatus {
    let is_usage = error.is::<UsageError>()
        || matches!(error.downcast_ref(), Some(RunError::Usage(_)))
        || matches!(error.downcast_ref(), Some(VerifyCommandError::Usage(_)));
    if is_usage {
        ExitStatus::Usage
    } else {
        ExitStatus::Failed
    }
}

/// Whether the reader of stdout has read enough: `linpmem-dump ranges | head`. An
/// image on a closed stdout is different: its failure is part of the summary.
fn is_closed_stdout(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
