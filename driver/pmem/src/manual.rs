// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shell completions and manual pages, from the definitions of the options.

use crate::Outcome;
use crate::args::Cli;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::io::Write;
use std::path::Path;

/// Writes completions for `shell`.
pub fn completions(shell: Shell, out: &mut dyn Write) -> Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pmem", &mut text);
    out.write_all(&text)?;
    Ok(Outcome::Done)
}

/// Writes `pmem.1`, and a page for each command, into `folder`.
pub fn pages(folder: &Path) -> Result<Outcome> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("writing to {}", folder.display()))?;
    Ok(Outcome::Done)
}
