// SPDX-License-Identifier: MIT OR Apache-2.0
//! The artifacts of one acquisition, gathered before the first page is read.
//!
//! All of it passes through compression into a file; nothing is held. What cannot
//! be had is listed and does not end the run, but for what was asked for by name.

use super::added::{self, AddedError};
use super::archive_writer::{AddError, ArchiveWriter, Written};
use super::items::{self, Item, KALLSYMS};
use super::known_symbols::{KnownSymbols, Watched};
use super::tree::Tree;
use super::{Artifacts, ArtifactsError, MACHINE, MANIFEST, Missing, Remark, VMCOREINFO};
use super::{facts, variables};
use crate::source::Source;
use crate::stop::Stop;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What is to be gathered, and where from.
pub(crate) struct Gathering<'a> {
    /// The machine, or the image that has its memory.
    pub(crate) origin: Origin<'a>,
    /// What the user wants beside it.
    pub(crate) added: &'a [PathBuf],
    /// What does not answer within this time is given up; none waits for ever.
    pub(crate) timeout: Option<Duration>,
    /// Raised to end early.
    pub(crate) stop: &'a Stop,
}

/// Where artifacts comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// This machine, whose memory is `Source`.
    Live(&'a Source),
    /// An image, which may have artifacts.
    Image(&'a Path),
    /// Nowhere: only files that were named.
    Nothing,
}

/// What was gathered.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(super) written: Written,
    pub(crate) missing: Vec<Missing>,
    pub(crate) remarks: Vec<Remark>,
    pub(crate) warnings: Vec<String>,
}

/// Artifacts that could not be gathered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatherError {
    /// A file that was asked for by name.
    #[error(transparent)]
    Added(#[from] AddedError),
    /// The file that all of it goes to.
    #[error("writing the artifacts: {0}")]
    Write(#[source] io::Error),
    /// The run was asked to end.
    #[error("interrupted before the first page was read")]
    Interrupted,
}

struct State<'a> {
    gathering: Gathering<'a>,
    writer: ArchiveWriter,
    missing: Vec<Missing>,
    remarks: Vec<Remark>,
    warnings: Vec<String>,
}

/// Writes the artifacts to `file`, which is empty. What is too large for memory
/// lies in `folder` for a while. None: there is nothing.
///
/// # Errors
/// If a file that was named cannot be read, or `file` not be written.
pub(crate) fn gather(
    gathering: Gathering<'_>,
    file: File,
    folder: PathBuf,
) -> Result<Option<Gathered>, GatherError> {
    let mut state = State {
        gathering,
        writer: ArchiveWriter::new(file, folder),
        missing: Vec::new(),
        remarks: Vec::new(),
        warnings: Vec::new(),
    };
    match state.gathering.origin {
        Origin::Live(source) => state.live(source)?,
        Origin::Image(path) => {
            state.carried(path)?;
            state.named()?;
        }
        Origin::Nothing => state.named()?,
    }
    if state.writer.is_empty() {
        return Ok(None);
    }
    Ok(Some(Gathered {
        written: state.writer.finish().map_err(GatherError::Write)?,
        missing: state.missing,
        remarks: state.remarks,
        warnings: state.warnings,
    }))
}

impl State<'_> {
    fn live(&mut self, source: &Source) -> Result<(), GatherError> {
        let tree = Tree::of_this_machine(self.gathering.timeout);
        let release = rustix::system::uname();
        let release = release.release().to_string_lossy().into_owned();
        let (items, missing) = items::items(&tree, &release);
        self.missing = missing;
        match &source.machine.vmcoreinfo {
            Some(text) => self.add(VMCOREINFO, &mut text.as_slice(), u64::MAX)?,
            None => self.lack(VMCOREINFO, "no source tells it".to_owned()),
        }
        let mut landmarks = KnownSymbols::default();
        for item in &items {
            self.item(&tree, item, &mut landmarks)?;
        }
        self.named()?;

        let mut machine = facts::machine(&tree, &source.machine_record, &landmarks);
        variables::read(&mut machine, &*source.reader, &landmarks);
        self.remarks.extend(facts::remarks(&machine, &landmarks));
        self.warnings
            .extend(facts::warnings(&machine, &self.missing));
        for remark in &self.remarks {
            self.warnings
                .push(format!("{}: {}", remark.name, remark.text));
        }
        machine.missing.clone_from(&self.missing);
        machine.remarks.clone_from(&self.remarks);
        let json = serde_json::to_vec_pretty(&machine).unwrap_or_default();
        self.add(MACHINE, &mut json.as_slice(), u64::MAX)
    }

    fn item(
        &mut self,
        tree: &Tree,
        item: &Item,
        landmarks: &mut KnownSymbols,
    ) -> Result<(), GatherError> {
        match tree.open(&item.name) {
            Err(error) => {
                self.lack(&item.name, error.to_string());
                Ok(())
            }
            Ok(file) if item.name == KALLSYMS => {
                self.add(&item.name, &mut Watched::new(file, landmarks), item.limit)
            }
            Ok(mut file) => self.add(&item.name, &mut file, item.limit),
        }
    }

    /// What the image at `path` has.
    fn carried(&mut self, path: &Path) -> Result<(), GatherError> {
        let artifacts = match Artifacts::of_image(path) {
            Ok(Some(artifacts)) => artifacts,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.warnings
                    .push(format!("the artifacts are not carried over: {error}"));
                return Ok(());
            }
        };
        // Every AFF4 volume has these two; alone they are nothing to carry.
        let is_common = |name: &str| [MANIFEST, VMCOREINFO].contains(&name);
        if artifacts
            .entries()
            .iter()
            .all(|entry| is_common(&entry.name))
        {
            return Ok(());
        }
        let mut failure = None;
        let passed = artifacts.each(&mut |entry, content| {
            if !is_sound(&entry.name) {
                self.lack(&entry.name, "its name leads elsewhere".to_owned());
            } else if entry.name != MANIFEST && !self.writer.has(&entry.name) {
                failure = self.add(&entry.name, content, u64::MAX).err();
            }
            match &failure {
                // The end of it, whatever it is called.
                Some(_) => Err(ArtifactsError::Missing {
                    name: entry.name.clone(),
                    reason: String::new(),
                }),
                None => Ok(()),
            }
        });
        match (failure, passed) {
            (Some(failure), _) => return Err(failure),
            (None, Err(error)) => self.remember_damage(&error.to_string()),
            (None, Ok(())) => {}
        }
        if let Some(damage) = artifacts.damage() {
            self.remember_damage(damage);
        }
        if let Ok(machine) = artifacts.machine() {
            self.missing.extend(machine.missing);
            self.remarks.extend(machine.remarks);
        }
        Ok(())
    }

    fn remember_damage(&mut self, damage: &str) {
        let text =
            format!("the artifacts are carried over only as far as it can be read: {damage}");
        self.warnings.push(text);
    }

    /// What the user named.
    fn named(&mut self) -> Result<(), GatherError> {
        for path in added::files(self.gathering.added)? {
            let name = added::name(&path)?;
            if self.writer.has(&name) {
                continue;
            }
            let mut file = added::open(&path)?;
            let result = self
                .writer
                .add(&name, &mut file, u64::MAX, self.gathering.stop);
            match result {
                Ok(()) => {}
                Err(AddError::Content(source)) => {
                    return Err(AddedError::Read { path, source }.into());
                }
                Err(AddError::Archive(error)) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, content: &mut dyn Read, limit: u64) -> Result<(), GatherError> {
        match self.writer.add(name, content, limit, self.gathering.stop) {
            Ok(()) => Ok(()),
            Err(AddError::Content(error)) => {
                self.lack(name, error.to_string());
                Ok(())
            }
            Err(AddError::Archive(error)) => Err(failed(error)),
        }
    }

    fn lack(&mut self, name: &str, reason: String) {
        self.missing.push(Missing {
            name: name.to_owned(),
            reason,
        });
    }
}

/// Whether who unpacks an archive gets a file of this name where it should be.
fn is_sound(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn failed(error: io::Error) -> GatherError {
    match error.kind() {
        io::ErrorKind::Interrupted => GatherError::Interrupted,
        _ => GatherError::Write(error),
    }
}

#[cfg(test)]
mod tests {
    use super::is_sound;

    #[test]
    fn names_that_lead_elsewhere_are_not_carried_on() {
        assert!(is_sound("proc/version") && is_sound("machine.json"));
        for name in ["", "/etc/passwd", "../x", "a/../../x", "."] {
            assert!(!is_sound(name), "{name}");
        }
    }
}
