// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-fit`: parse, fit, write, explain, exit code.

#![forbid(unsafe_code)]

mod args;
mod fleet;
mod output;
mod report;

use anyhow::{Context, Result};
use args::{Cli, Command, SECTIONS};
use clap::CommandFactory;
use fleet::FleetReport;
use linpmem_cli::{Document, ExitStatus, Manual, Program, Stderr};
use linpmem_fit::{Refusal, check_loadable, fit, need_object};
use output::write;
use report::Report;
use std::borrow::Cow;
use std::fs;
use std::io;
use std::process::ExitCode;

const PROGRAM: Program = Program {
    name: "linpmem-fit",
    error_format: "linpmem-fit error",
    error_prefix: "linpmem-fit: error: ",
};

fn main() -> ExitCode {
    PROGRAM.main(|cli: &Cli| cli.json, run)
}

fn run(cli: &Cli, stderr: Stderr) -> Result<ExitStatus> {
    if let Some(command) = &cli.command {
        return document(command);
    }
    // Said first: for the kernel of such a machine, no object helps.
    if let (true, Err(refusal @ Refusal::Architecture(_))) = (cli.is_live(), check_loadable()) {
        return Err(refusal.into());
    }
    let object = match &cli.object {
        Some(path) => {
            let read = fs::read(path);
            Cow::Owned(read.with_context(|| format!("cannot read {}", path.display()))?)
        }
        None => Cow::Borrowed(need_object()?),
    };
    let mut out = io::stdout().lock();
    if let (Some(folder), Some(output)) = (&cli.fleet, &cli.output) {
        let report = FleetReport::of(&object, folder, output)?;
        report.print(cli.json, &mut out)?;
        return Ok(ExitStatus::of_answer(report.is_complete()));
    }
    let fitted = fit(&object, &cli.sources())?;
    let refusal = match cli.is_live() {
        true => check_loadable().err().map(|refusal| refusal.to_string()),
        false => None,
    };
    if let Some(path) = &cli.output {
        write(path, &fitted.module).with_context(|| format!("cannot write {}", path.display()))?;
        if let Some(refusal) = &refusal {
            stderr.warn(&format!("the module was written, but {refusal}"));
        }
    }
    let is_explained = cli.explain || cli.output.is_none();
    let report = Report::of(&fitted, cli.output.as_deref(), refusal, is_explained);
    report.print(cli.json, &mut out)?;
    Ok(ExitStatus::Complete)
}

/// Writes completions or the manual page.
fn document(command: &Command) -> Result<ExitStatus> {
    let manual = Manual {
        program: Cli::command(),
        sections: &SECTIONS,
    };
    match command {
        Command::Completions { shell } => manual.completions(*shell, &mut io::stdout().lock())?,
        Command::Man { folder } => manual.pages(folder)?,
    }
    Ok(ExitStatus::Complete)
}
