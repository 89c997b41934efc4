// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program from its command line to its exit code.

use crate::exit_status::ExitStatus;
use crate::program::Program;
use crate::stderr::{Stderr, is_closed_stdout};
use clap::Parser;
use std::ffi::OsString;
use std::process::ExitCode;

impl Program {
    /// Parses the command line, carries it out by `run`, and says on stderr why that failed.
    /// `is_json` tells whether errors are to be JSON.
    pub fn main<C: Parser>(
        self,
        is_json: impl FnOnce(&C) -> bool,
        run: impl FnOnce(&C, Stderr) -> anyhow::Result<ExitStatus>,
    ) -> ExitCode {
        let words: Vec<OsString> = std::env::args_os().collect();
        let stderr = |is_json| Stderr {
            program: self,
            is_json,
        };
        let cli = match C::try_parse_from(&words) {
            Ok(cli) => cli,
            // The answer to a mistake is JSON, too, if JSON was asked for.
            Err(error) => {
                let is_json = words.iter().any(|word| word == "--json");
                return stderr(is_json).explain(&error).into();
            }
        };
        let stderr = stderr(is_json(&cli));
        let status = run(&cli, stderr).unwrap_or_else(|error| {
            if is_closed_stdout(error.chain()) {
                return ExitStatus::Complete;
            }
            stderr.fail(&sentence(&error), ExitStatus::Failed);
            ExitStatus::Failed
        });
        status.into()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("no such file").context("cannot read x: no such file");
        assert_eq!(sentence(&error), "cannot read x: no such file");
        let error = anyhow!("no such file").context("cannot read x");
        assert_eq!(sentence(&error), "cannot read x: no such file");
    }
}
