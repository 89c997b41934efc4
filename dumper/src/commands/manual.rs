// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump completions` and `linpmem-dump man`: made from the definitions of
//! the options, so that they are never out of date.

use crate::args::{Cli, EXAMPLES, FILES};
use crate::exit_status::ExitStatus;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The manual pages cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
#[expect(missing_docs, reason = "the message names the fields")]
pub struct ManualError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// Writes the completions for `shell`.
///
/// # Errors
/// Those of `out`.
pub fn completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    // The generator panics where its output fails.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "linpmem-dump", &mut text);
    out.write_all(&text)
}

/// Writes `linpmem-dump.1`, and a page for each command, into `folder`.
///
/// # Errors
/// If the folder or a page cannot be written.
pub fn pages(folder: &Path) -> Result<(), ManualError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| ManualError { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let shown = |command: &&Command| !command.is_hide_set();
    let commands = program.get_subcommands().filter(shown);
    for command in std::iter::once(&program).chain(commands) {
        let man = Man::new(command.clone());
        let path = folder.join(man.get_filename());
        page(&man, command)
            .and_then(|page| fs::write(&path, page))
            .map_err(failed(&path))?;
    }
    Ok(())
}

/// One page: what clap knows, and the sections that only we know.
fn page(man: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let is_program = command.get_subcommands().next().is_some();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_program {
        man.render_subcommands_section(&mut page)?;
        section("EXAMPLES", EXAMPLES).to_writer(&mut page)?;
        section("FILES", FILES).to_writer(&mut page)?;
    }
    let codes = ExitStatus::ALL.map(|status| (status.code().to_string(), status.meaning()));
    section("EXIT STATUS", codes).to_writer(&mut page)?;
    if is_program {
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}

/// A section of terms and what they mean.
fn section(
    title: &str,
    terms: impl IntoIterator<Item = (impl Into<String>, &'static str)>,
) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, meaning) in terms {
        let term: Inline = bold(term);
        roff.control("TP", []).text([term]).text([roman(meaning)]);
    }
    roff
}
