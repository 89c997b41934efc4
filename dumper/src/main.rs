// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump`: parse, run, exit code.

#![forbid(unsafe_code)]

use clap::{CommandFactory, Parser};
use linpmem_capture::artifacts::serve_added;
use linpmem_cli::{Document, ExitStatus, Manual, StdoutError, is_closed_stdout};
use linpmem_dump::args::{Cli, Command, CustodyCommand, SECTIONS, UsageError};
use linpmem_dump::commands::acquire::RunError;
use linpmem_dump::commands::doctor::DoctorError;
#[cfg(feature = "mount")]
use linpmem_dump::commands::mount;
use linpmem_dump::commands::ranges::RangesError;
#[cfg(feature = "remote")]
use linpmem_dump::commands::receive;
use linpmem_dump::commands::recover::RecoverCommandError;
#[cfg(feature = "report")]
use linpmem_dump::commands::report;
#[cfg(feature = "sign")]
use linpmem_dump::commands::sign;
#[cfg(feature = "timestamp")]
use linpmem_dump::commands::timestamp;
use linpmem_dump::commands::verify::VerifyCommandError;
use linpmem_dump::commands::{
    acquire, compare, custody, doctor, extract, info, ls, ranges, recover, symbols, verify,
};
#[cfg(feature = "inspect")]
use linpmem_dump::commands::{check, dmesg, files, maps, modules, mounts, ps, sockets};
#[cfg(feature = "stores")]
use linpmem_dump::commands::{
    index::{self, IndexError},
    presign::{self, PresignError},
};
use linpmem_dump::text::stderr;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let status = match Cli::try_parse_from(&words) {
        Ok(cli) => run(&cli),
        Err(error) => {
            let is_json = Cli::asks_for_json(words.iter().map(OsString::as_os_str));
            stderr(is_json).explain(&error)
        }
    };
    status.into()
}

fn run(cli: &Cli) -> ExitStatus {
    match carry_out(cli) {
        Ok(status) => status,
        // An image on a closed stdout is different: its failure is part of the summary.
        Err(error) if is_closed_stdout(error.chain()) => ExitStatus::Complete,
        Err(error) => {
            let status = status_of(&error);
            // The message contains those of its causes.
            stderr(cli.is_json()).fail(&error.to_string(), status);
            status
        }
    }
}

fn carry_out(cli: &Cli) -> anyhow::Result<ExitStatus> {
    let out = &mut io::stdout();
    let json = cli.is_json();
    let stderr = stderr(json);
    let manual = || Manual {
        program: Cli::command(),
        sections: &SECTIONS,
    };
    match &cli.command {
        None => return Ok(acquire::run(&cli.acquire, stderr)?),
        Some(Command::Convert(args)) => return Ok(acquire::convert(args, stderr)?),
        Some(Command::Compare(args)) => return Ok(compare::compare(args, out, stderr)?),
        Some(Command::Extract(args)) => {
            let document = extract::extract(args, out, stderr)?;
            stderr.summary(&document);
            return Ok(document.exit_status());
        }
        Some(Command::Verify(args)) => {
            let document = verify::verify(args)?;
            document.print(json, out)?;
            return Ok(document.exit_status());
        }
        #[cfg(feature = "stores")]
        Some(Command::Index(args)) => index::index(args)?.print(json, out)?,
        #[cfg(feature = "stores")]
        Some(Command::Presign(args)) => {
            let document = presign::presign(args, out)?;
            match args.writes_to_stdout() {
                true => stderr.summary(&document),
                false => document.print(json, out)?,
            }
        }
        Some(Command::Ls(args)) => ls::list(args)?.print(json, out)?,
        Some(Command::Recover(args)) => {
            let document = recover::recover(args, stderr)?;
            document.print(json, out)?;
            return Ok(document.exit_status());
        }
        #[cfg(feature = "report")]
        Some(Command::Report(args)) => {
            let document = report::report(args, out)?;
            match args.writes_to_stdout() {
                true => stderr.summary(&document),
                false => document.print(json, out)?,
            }
            return Ok(document.exit_status());
        }
        Some(Command::Info(args)) => {
            let document = info::info(args)?;
            document.print(json, out)?;
            return Ok(document.exit_status());
        }
        Some(Command::Symbols(args)) => {
            let (document, status) = symbols::symbols(args, stderr)?;
            document.print(json, out)?;
            return Ok(status);
        }
        #[cfg(feature = "inspect")]
        Some(Command::Check(args)) => return show(check::check(args, stderr)?, json, out),
        #[cfg(feature = "inspect")]
        Some(Command::Ps(args)) => return show(ps::ps(args, stderr)?, json, out),
        #[cfg(feature = "inspect")]
        Some(Command::Modules(args)) => return show(modules::modules(args, stderr)?, json, out),
        #[cfg(feature = "inspect")]
        Some(Command::Dmesg(args)) => return show(dmesg::dmesg(args, stderr)?, json, out),
        #[cfg(feature = "inspect")]
        Some(Command::Maps(args)) => return show(maps::maps(args, stderr)?, json, out),
        #[cfg(feature = "inspect")]
        Some(Command::Files(args)) => return show(files::files(args, stderr)?, json, out),
        #[cfg(feature = "inspect")]
        Some(Command::Sockets(args)) => return show(sockets::sockets(args, stderr)?, json, out),
        #[cfg(feature = "inspect")]
        Some(Command::Mounts(args)) => return show(mounts::mounts(args, stderr)?, json, out),
        #[cfg(feature = "mount")]
        Some(Command::Mount(args)) => return Ok(mount::mount(args, out, stderr)?),
        #[cfg(feature = "remote")]
        Some(Command::Receive(args)) => return Ok(receive::receive(args, out, stderr)?),
        Some(Command::Doctor(args)) => {
            let document = doctor::doctor(args)?;
            document.print(json, out)?;
            return Ok(document.exit_status());
        }
        Some(Command::Ranges(args)) => ranges::ranges(args, stderr)?.print(json, out)?,
        Some(Command::Custody(CustodyCommand::Add(args))) => {
            custody::add(args)?.print(json, out)?;
        }
        Some(Command::Custody(CustodyCommand::Show(args))) => {
            let document = custody::show(args)?;
            document.print(json, out)?;
            return Ok(document.exit_status());
        }
        #[cfg(feature = "sign")]
        Some(Command::Sign(args)) => sign::sign(args)?.print(json, out)?,
        #[cfg(feature = "timestamp")]
        Some(Command::Timestamp(args)) => timestamp::timestamp(args)?.print(json, out)?,
        Some(Command::Completions { shell }) => {
            manual()
                .completions(*shell, out)
                .map_err(StdoutError::from)?;
        }
        Some(Command::Man { folder }) => manual().pages(folder)?,
        Some(Command::ReadAdded) => serve_added(io::stdin().lock(), out)?,
        Some(Command::ThawWatchdog) => linpmem_capture::freeze::watch(io::stdin(), out)?,
    }
    Ok(ExitStatus::Complete)
}

/// Prints a document whose command tells the exit code.
#[cfg(feature = "inspect")]
fn show<D: Document>(
    (document, status): (D, ExitStatus),
    json: bool,
    out: &mut dyn io::Write,
) -> anyhow::Result<ExitStatus> {
    document.print(json, out)?;
    Ok(status)
}

fn status_of(error: &anyhow::Error) -> ExitStatus {
    let is_usage = [
        error.is::<UsageError>(),
        matches!(error.downcast_ref(), Some(RunError::Usage(_))),
        #[cfg(feature = "stores")]
        matches!(
            error.downcast_ref(),
            Some(IndexError::Usage(_) | IndexError::NoStore)
        ),
        #[cfg(feature = "stores")]
        matches!(error.downcast_ref(), Some(PresignError::Usage(_))),
        matches!(error.downcast_ref(), Some(DoctorError::Usage(_))),
        matches!(error.downcast_ref(), Some(RangesError::Usage(_))),
        matches!(error.downcast_ref(), Some(RecoverCommandError::Usage(_))),
        matches!(error.downcast_ref(), Some(VerifyCommandError::Usage(_))),
    ];
    match is_usage.contains(&true) {
        true => ExitStatus::Usage,
        false => ExitStatus::Failed,
    }
}
