// SPDX-License-Identifier: MIT OR Apache-2.0
//! Completions and manual pages: made from the definitions of the options, so that they
//! are never out of date.

use crate::exit_status::ExitStatus;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A section of terms and what they mean.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// Its title, in capitals.
    pub title: &'a str,
    /// The terms.
    pub terms: &'a [(&'a str, &'a str)],
}

/// The manual of a program.
#[derive(Debug)]
pub struct Manual<'a> {
    /// The options.
    pub program: Command,
    /// What the options do not tell; on the program's own page.
    pub sections: &'a [Section<'a>],
}

/// The manual pages cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("writing {path}: {source}")]
#[expect(missing_docs, reason = "the message names the fields")]
pub struct ManualError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl Manual<'_> {
    /// Writes the completions for `shell`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn completions(mut self, shell: Shell, out: &mut dyn Write) -> io::Result<()> {
        let name = self.program.get_name().to_owned();
        // The generator panics where its output fails.
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut self.program, name, &mut text);
        out.write_all(&text)
    }

    /// Writes a page for the program, and one for each command and its commands, into `folder`.
    ///
    /// # Errors
    /// If the folder or a page cannot be written.
    pub fn pages(self, folder: &Path) -> Result<(), ManualError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| ManualError { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let mut program = self.program.disable_help_subcommand(true);
        program.build();
        let commands = shown(&program).flat_map(|command| {
            let below = shown(command);
            std::iter::once(command).chain(below)
        });
        let pages = std::iter::once((&program, self.sections))
            .chain(commands.map(|command| (command, [].as_slice())));
        for (command, sections) in pages {
            let man = Man::new(command.clone());
            let path = folder.join(man.get_filename());
            page(&man, command, sections)
                .and_then(|page| fs::write(&path, page))
                .map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// The commands of `command` that have a page. Commands of commands have a `help` of clap's.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let commands = command.get_subcommands();
    commands.filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// One page: what clap knows, and the sections that only we know.
fn page(man: &Man, command: &Command, sections: &[Section<'_>]) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    for section in sections {
        terms(section.title, section.terms.iter().copied()).to_writer(&mut page)?;
    }
    let codes = ExitStatus::ALL.map(|status| (status.code().to_string(), status.meaning()));
    terms("EXIT STATUS", codes).to_writer(&mut page)?;
    if command.get_version().is_some() {
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}

fn terms<'a>(title: &str, terms: impl IntoIterator<Item = (impl Into<String>, &'a str)>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, meaning) in terms {
        let term: Inline = bold(term);
        roff.control("TP", []).text([term]).text([roman(meaning)]);
    }
    roff
}
