// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel build folders.

use anyhow::{Result, bail};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// When it fails.
pub fn run(_args: &Args) -> Result<()> {
    bail!("not built yet")
}
