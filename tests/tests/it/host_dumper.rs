// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dumper, run on the host.

use anyhow::Result;
use linpmem_testkit::artifacts;
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
