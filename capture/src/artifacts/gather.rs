// SPDX-License-Identifier: MIT OR Apache-2.0
//! Collecting the artifacts of one acquisition.
//!
//! All of them are compressed into a file, none is kept in memory. What cannot be
//! collected is listed and does not end the run, unless the user named it.

use super::added::{self, AddedError, AddedPatience};
use super::added_reader::AddedReader;
use super::archive_writer::{AddError, ArchiveWriter, WrittenArchive};
use super::area_reader::{self, Gap};
use super::crashed::Build;
use super::known_symbols::{KnownSymbols, SymbolTap};
use super::machine_files::{Item, Items, KALLSYMS, MASKED, MachineFiles};
use super::processes::{ListedPids, Processes};
use super::swap_areas::{self, ListedArea, SwapArea};
use super::{
    Artifacts, ArtifactsError, MACHINE, MANIFEST, Missing, PROCESSES, Remark, VMCOREINFO, facts,
};
use crate::Reading;
use crate::source::{Source, Subject};
use crate::spool::Scratch;
use crate::stop::Stop;
use crate::timeout::Patience;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::PhysLen;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What is to be collected, and where from.
pub(super) struct Gathering<'a> {
    /// Where the kernel's artifacts come from.
    pub(super) origin: Origin<'a>,
    /// Files that the user adds.
    pub(super) added: &'a [PathBuf],
    /// The program that looks for them and reads them.
    pub(super) added_by: Option<&'a Path>,
    /// The most bytes of each file that a pattern matches.
    pub(super) added_limit: PhysLen,
    /// Why swap areas are not kept, if they are not.
    pub(super) swap: Result<(), &'static str>,
    /// Files that do not answer within this time are abandoned; `None` waits forever.
    pub(super) timeout: Option<Duration>,
    /// The processes before memory was read, if it has been.
    pub(super) begin: Option<&'a ListedPids>,
    /// Raised to end early.
    pub(super) stop: &'a Stop,
}

/// Where the kernel's artifacts come from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// This machine, whose memory the source reads.
    Live(&'a Source),
    /// An image, if it has artifacts.
    Image(&'a Path, &'a Reading),
    /// Nowhere: only files that the user adds are collected.
    Nothing,
}

/// What was collected.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) archive: WrittenArchive,
    pub(super) missing: Vec<Missing>,
    pub(super) remarks: Vec<Remark>,
    pub(super) warnings: Vec<String>,
}

/// Artifacts that could not be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatherError {
    /// A file that the user added cannot be read.
    #[error(transparent)]
    Added(#[from] AddedError),
    /// The file for all of them cannot be written.
    #[error("writing the artifacts: {0}")]
    Write(#[source] io::Error),
    /// The run was interrupted.
    #[error("interrupted before all of them were read")]
    Interrupted,
}

/// Where the swap areas are among the artifacts, by their places in /proc/swaps.
const SWAP_FOLDER: &str = "swap/";

struct Collector<'a> {
    gathering: Gathering<'a>,
    writer: ArchiveWriter,
    missing: Vec<Missing>,
    remarks: Vec<Remark>,
    warnings: Vec<String>,
    /// In place of the one that was raised while a swap area was read: the rest takes a moment.
    fresh: Option<Stop>,
}

/// Writes the artifacts to `file`, which is empty. A file that is too large for memory is
/// kept in `scratch` until it can be written. `None` if there are no artifacts.
///
/// # Errors
/// If a file that the user added cannot be read, or `file` cannot be written.
pub(super) fn gather(
    gathering: Gathering<'_>,
    file: File,
    scratch: Scratch,
) -> Result<Option<Gathered>, GatherError> {
    let mut collector = Collector {
        gathering,
        writer: ArchiveWriter::new(file, scratch),
        missing: Vec::new(),
        remarks: Vec::new(),
        warnings: Vec::new(),
        fresh: None,
    };
    match collector.gathering.origin {
        Origin::Live(source) => collector.collect_live(source)?,
        Origin::Image(path, reading) => {
            collector.carry_over(path, reading)?;
            collector.collect_only_added()?;
        }
        Origin::Nothing => collector.collect_only_added()?,
    }
    if collector.writer.is_empty() {
        return Ok(None);
    }
    Ok(Some(Gathered {
        archive: collector.writer.finish().map_err(GatherError::Write)?,
        missing: collector.missing,
        remarks: collector.remarks,
        warnings: collector.warnings,
    }))
}

impl Collector<'_> {
    fn collect_live(&mut self, source: &Source) -> Result<(), GatherError> {
        let files = MachineFiles::of_this_machine(self.gathering.timeout);
        let release = crate::host::this_machine().kernel_release;
        let mut items = Items::of(&files, &release);
        let info = source.machine.vmcoreinfo.as_deref().map(Vmcoreinfo::new);
        let crashed = (source.subject == Subject::CrashedKernel)
            .then(|| Build::compare(&files, &release, info));
        if let Some(build) = crashed {
            items = build.select(items);
        }
        self.missing = items.missing;
        let masked = self.missing.iter().filter(|gap| gap.reason == MASKED);
        let masked = masked.map(|gap| format!("/{}: {}", gap.name, gap.reason));
        self.warnings.extend(masked);
        match &source.machine.vmcoreinfo {
            Some(text) => self.add(VMCOREINFO, &mut text.as_slice(), None)?,
            None => self.lack(
                VMCOREINFO,
                "it was not found in the machine's memory".to_owned(),
            ),
        }
        let mut symbols = KnownSymbols::default();
        for item in &items.found {
            self.collect_item(&files, item, &mut symbols)?;
        }
        if crashed.is_none() {
            self.collect_processes(&files)?;
        }
        self.collect_added()?;
        let swaps = match crashed {
            None => self.collect_swap_areas()?,
            // Those that there are now are not that kernel's.
            Some(_) => Vec::new(),
        };

        let mut machine = facts::machine(&files, &source.machine_record, &symbols);
        if let Some(build) = crashed {
            machine = build.facts(machine);
            self.remarks.push(build.remark());
        }
        symbols.read_variables(&mut machine, &*source.reader);
        self.remarks.extend(facts::remarks(&machine, &symbols));
        self.warnings
            .extend(facts::warnings(&machine, &self.missing));
        for remark in &self.remarks {
            self.warnings
                .push(format!("{}: {}", remark.name, remark.text));
        }
        machine.swaps = swaps;
        machine.missing.clone_from(&self.missing);
        machine.remarks.clone_from(&self.remarks);
        let json = serde_json::to_vec_pretty(&machine);
        let json = json.map_err(|error| GatherError::Write(error.into()))?;
        self.add(MACHINE, &mut json.as_slice(), None)
    }

    fn collect_processes(&mut self, files: &MachineFiles) -> Result<(), GatherError> {
        let listed = Processes::now(files, self.gathering.begin);
        let json = listed.and_then(|listed| Ok(serde_json::to_vec(&listed)?));
        match json {
            Ok(json) => self.add(PROCESSES, &mut json.as_slice(), None),
            Err(error) => {
                self.lack(PROCESSES, error.to_string());
                Ok(())
            }
        }
    }

    fn collect_item(
        &mut self,
        files: &MachineFiles,
        item: &Item,
        symbols: &mut KnownSymbols,
    ) -> Result<(), GatherError> {
        match files.open(&item.name) {
            Err(error) => {
                self.lack(&item.name, error.to_string());
                Ok(())
            }
            Ok(file) if item.name == KALLSYMS => {
                let mut file = SymbolTap::new(file, symbols);
                self.add(&item.name, &mut file, Some(item.limit))
            }
            Ok(mut file) => self.add(&item.name, &mut file, Some(item.limit)),
        }
    }

    /// Copies the artifacts of the image at `path`.
    fn carry_over(&mut self, path: &Path, reading: &Reading) -> Result<(), GatherError> {
        let artifacts = match Artifacts::read(path, reading) {
            Ok(Some(artifacts)) => artifacts,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.warnings.push(format!(
                    "the artifacts of the input image were not copied: {error}"
                ));
                return Ok(());
            }
        };
        // Every AFF4 volume has these two; the new image gets its own.
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
            if !is_safe_path(&entry.name) {
                self.lack(&entry.name, "its name is an unsafe path".to_owned());
            } else if entry.name != MANIFEST && !self.writer.has(&entry.name) {
                failure = match entry.length.filter(|_| entry.name.starts_with(SWAP_FOLDER)) {
                    Some(length) => self.carry_area(&entry.name, length, content),
                    None => self.add(&entry.name, content, None),
                }
                .err();
            }
            match &failure {
                // Any error ends the walk; `failure` is the one that counts.
                Some(_) => Err(ArtifactsError::Missing {
                    name: entry.name.clone(),
                    reason: String::new(),
                }),
                None => Ok(()),
            }
        });
        match (failure, passed) {
            (Some(failure), _) => return Err(failure),
            (None, Err(error)) => self.warn_of_damage(&error.to_string()),
            (None, Ok(())) => {}
        }
        if let Some(damage) = artifacts.damage() {
            self.warn_of_damage(damage);
        }
        if let Ok(machine) = artifacts.machine() {
            self.missing.extend(machine.missing);
            self.remarks.extend(machine.remarks);
        }
        Ok(())
    }

    /// Copies a swap area of the input image, so that it can be read at random again.
    fn carry_area(
        &mut self,
        name: &str,
        length: u64,
        content: &mut dyn Read,
    ) -> Result<(), GatherError> {
        let stop = self.gathering.stop;
        match self.writer.add_area(name, length, content, stop) {
            Ok(()) => Ok(()),
            Err(AddError::Content(error)) => {
                self.lack(name, error.to_string());
                Ok(())
            }
            Err(AddError::Archive(error)) => Err(archive_error(error)),
        }
    }

    fn warn_of_damage(&mut self, damage: &str) {
        self.warnings.push(format!(
            "only a part of the input image's artifacts was copied: {damage}"
        ));
    }

    /// The same, where nothing else records what is to be known about them.
    fn collect_only_added(&mut self) -> Result<(), GatherError> {
        let known = self.remarks.len();
        self.collect_added()?;
        let remarks = self.remarks.iter().skip(known);
        let warnings = remarks.map(|remark| format!("{}: {}", remark.name, remark.text));
        self.warnings.extend(warnings);
        Ok(())
    }

    /// Collects the files that the user added. One that a pattern matched may belong to
    /// anybody: it can be huge, or its file system may not answer. That is listed, and does
    /// not end the run.
    fn collect_added(&mut self) -> Result<(), GatherError> {
        let reader = AddedReader::new(self.gathering.added_by);
        let patience = AddedPatience::new(self.gathering.timeout);
        let added = added::files(self.gathering.added, &reader, &patience)?;
        for (name, reason) in added.missing {
            self.lack(&name, reason);
        }
        for added in added.files {
            if self.writer.has(&added.name) {
                continue;
            }
            let limit = (!added.is_named).then_some(self.gathering.added_limit.get());
            let result = reader
                .open(&added.path, &patience.with(added.is_named))
                .map_err(AddError::Content)
                .and_then(|mut file| {
                    let stop = self.gathering.stop;
                    self.writer.add(&added.name, &mut file, limit, stop)
                });
            match result {
                Ok(()) => {}
                Err(AddError::Content(error)) if !added.is_named => {
                    self.lack(&added.name, error.to_string());
                    continue;
                }
                Err(AddError::Content(source)) => {
                    let path = added.path;
                    return Err(AddedError::Read { path, source }.into());
                }
                Err(AddError::Archive(error)) => return Err(archive_error(error)),
            }
            if let Some(target) = added.link {
                self.remarks.push(Remark {
                    name: added.name,
                    text: format!(
                        "it is a symbolic link to {}, which was read",
                        target.display()
                    ),
                });
            }
        }
        Ok(())
    }

    /// The swap areas; keeps what is in them, if that is wanted. One that cannot be kept says why.
    fn collect_swap_areas(&mut self) -> Result<Vec<SwapArea>, GatherError> {
        let listed = match swap_areas::listed(self.gathering.timeout) {
            Ok(listed) => listed,
            Err(error) => {
                self.warn_of_swap("the swap areas", &error.to_string());
                return Ok(Vec::new());
            }
        };
        let reader = AddedReader::new(self.gathering.added_by);
        let mut areas = Vec::new();
        for (number, mut listed) in listed.into_iter().enumerate() {
            let name = format!("{SWAP_FOLDER}{number}");
            let kept = match self.gathering.swap {
                Ok(()) if self.fresh.is_some() => Err("the run was interrupted".to_owned()),
                Ok(()) => self.collect_swap_area(&reader, &name, &listed)?,
                Err(reason) => {
                    listed.area.missing = Some(reason.to_owned());
                    areas.push(listed.area);
                    continue;
                }
            };
            let area = &mut listed.area;
            match kept {
                Ok(gaps) => {
                    area.missing = None;
                    area.artifact = Some(name);
                    area.unreadable = gaps;
                    if !area.unreadable.is_empty() {
                        let lost = area.unreadable.iter().map(|gap| gap.length);
                        let lost = PhysLen::new(lost.fold(0, u64::saturating_add));
                        let reason = format!("{lost} of it could not be read");
                        self.warn_of_swap(&area.name, &reason);
                    }
                }
                Err(reason) => {
                    self.lack(&name, format!("{}: {reason}", area.name));
                    self.warn_of_swap(&area.name, &reason);
                    area.missing = Some(reason);
                }
            }
            areas.push(listed.area);
        }
        Ok(areas)
    }

    /// Keeps what is in an area, as `name`: its gaps, or why it was not kept.
    fn collect_swap_area(
        &mut self,
        reader: &AddedReader,
        name: &str,
        listed: &ListedArea,
    ) -> Result<Result<Vec<Gap>, String>, GatherError> {
        if self.writer.has(name) {
            return Ok(Err(format!("{name} was collected already")));
        }
        let patience = Patience::new(self.gathering.timeout);
        let opened = reader.open_area(&listed.path, listed.expected(), &patience);
        let opened = opened.and_then(|mut area| Ok((area_reader::length(&mut area)?, area)));
        let (length, mut area) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(listed.reason(&error))),
        };
        let stop = self.gathering.stop;
        let added = self.writer.add_area(name, length, &mut area, stop);
        Ok(match added {
            Ok(()) => area_reader::gaps(&mut area).map_err(|error| error.to_string()),
            Err(AddError::Content(error)) => Err(listed.reason(&error)),
            Err(AddError::Archive(error)) => match error.kind() {
                io::ErrorKind::Interrupted => {
                    self.fresh = Some(Stop::default());
                    Err("the run was interrupted while it was read".to_owned())
                }
                // Everything else may fit.
                io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge => Err(format!(
                    "there is no room for it where the artifacts are written: {error}"
                )),
                _ => return Err(GatherError::Write(error)),
            },
        })
    }

    fn warn_of_swap(&mut self, what: &str, reason: &str) {
        if self.gathering.swap.is_ok() {
            self.warnings.push(format!("--add-swap: {what}: {reason}"));
        }
    }

    fn add(
        &mut self,
        name: &str,
        content: &mut dyn Read,
        limit: Option<u64>,
    ) -> Result<(), GatherError> {
        let stop = self.fresh.as_ref().unwrap_or(self.gathering.stop);
        match self.writer.add(name, content, limit, stop) {
            Ok(()) => Ok(()),
            Err(AddError::Content(error)) => {
                self.lack(name, error.to_string());
                Ok(())
            }
            Err(AddError::Archive(error)) => Err(archive_error(error)),
        }
    }

    fn lack(&mut self, name: &str, reason: String) {
        self.missing.push(Missing {
            name: name.to_owned(),
            reason,
        });
    }
}

/// Whether a file of this name stays in the folder that an archive is unpacked to.
fn is_safe_path(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn archive_error(error: io::Error) -> GatherError {
    match error.kind() {
        io::ErrorKind::Interrupted => GatherError::Interrupted,
        _ => GatherError::Write(error),
    }
}

#[cfg(test)]
mod tests {
    use super::is_safe_path;

    #[test]
    fn names_that_lead_to_other_folders_are_not_copied() {
        assert!(is_safe_path("proc/version") && is_safe_path("machine.json"));
        for name in ["", "/etc/passwd", "../x", "a/../../x", "."] {
            assert!(!is_safe_path(name), "{name}");
        }
    }
}
