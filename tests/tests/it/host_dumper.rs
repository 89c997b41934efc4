// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dumper, run on the host.

use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The dumper that was built for guests.
pub fn command() -> Result<Command> {
    let mut command = Command::new(artifacts::dumper()?);
    command.stdin(Stdio::null());
    Ok(command)
}

/// Everything that a run printed.
pub fn printed(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// The exit code and the output of a subcommand on `image`.
pub fn run(subcommand: &str, image: &Path) -> Result<(Option<i32>, String)> {
    let output = command()?.arg(subcommand).arg(image).output()?;
    Ok((output.status.code(), printed(&output)))
}

/// What a subcommand prints, which must end with exit code 0.
pub fn ok(subcommand: &str, args: &[&dyn AsRef<OsStr>]) -> Result<String> {
    let mut command = command()?;
    command.arg(subcommand);
    command.args(args.iter().map(|arg| arg.as_ref()));
    Ok(printed(&succeed(command)?))
}

/// What a subcommand prints as JSON, which must end with exit code 0.
pub fn json(subcommand: &str, args: &[&dyn AsRef<OsStr>]) -> Result<Value> {
    let mut command = command()?;
    command.args([subcommand, "--json"]);
    command.args(args.iter().map(|arg| arg.as_ref()));
    let output = succeed(command)?;
    let said = serde_json::from_slice(&output.stdout);
    said.with_context(|| format!("not JSON: {}", printed(&output)))
}

/// Converts an image to another one, whose format follows from its name.
pub fn converts(from: &Path, to: &Path) -> Result<()> {
    let mut command = command()?;
    command.args(["convert", "--progress", "none"]);
    command.arg(from).arg(to);
    succeed(command).map(drop)
}

fn succeed(mut command: Command) -> Result<Output> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        printed(&output)
    );
    Ok(output)
}
