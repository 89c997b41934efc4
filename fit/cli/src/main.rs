// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-fit`: parse, fit, write, explain, exit code.

#![forbid(unsafe_code)]

mod args;
mod report;

use anyhow::{Context, Result};
use args::Cli;
use clap::Parser;
use linpmem_cli::{Document, ExitStatus, Program, Stderr, is_closed_stdout};
use linpmem_fit::{fit, need_object};
use report::Report;
use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use tempfile::NamedTempFile;

const PROGRAM: Program = Program {
    name: "linpmem-fit",
    error_format: "linpmem-fit error",
    error_prefix: "linpmem-fit: error: ",
};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let stderr = |is_json| Stderr {
        program: PROGRAM,
        is_json,
    };
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        // The answer to a mistake is JSON, too, if JSON was asked for.
        Err(error) => {
            let is_json = words.iter().any(|word| word == "--json");
            return stderr(is_json).explain(&error).into();
        }
    };
    let stderr = stderr(cli.json);
    let status = run(&cli).unwrap_or_else(|error| {
        if is_closed_stdout(error.chain()) {
            return ExitStatus::Complete;
        }
        stderr.fail(&sentence(&error), ExitStatus::Failed);
        ExitStatus::Failed
    });
    status.into()
}

fn run(cli: &Cli) -> Result<ExitStatus> {
    let object = match &cli.object {
        Some(path) => {
            let read = fs::read(path);
            Cow::Owned(read.with_context(|| format!("cannot read {}", path.display()))?)
        }
        None => Cow::Borrowed(need_object()?),
    };
    let fitted = fit(&object, &cli.sources())?;
    if let Some(path) = &cli.output {
        write(path, &fitted.module).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let is_explained = cli.explain || cli.output.is_none();
    let report = Report::of(&fitted, cli.output.as_deref(), is_explained);
    report.print(cli.json, &mut io::stdout().lock())?;
    Ok(ExitStatus::Complete)
}

/// Writes a file that has its name only when it is whole.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::with_prefix_in(".linpmem-fit.", folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
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
