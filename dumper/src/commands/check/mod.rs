// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump check`, and the end of an acquisition: whether an image can be analysed, while
//! the machine is still there.

mod findings;
mod modules;
mod processes;

use super::machine_in_image::{InspectError, Opened, in_words};
use crate::args::InspectArgs;
use crate::text::check::{BootRow, CheckDocument, CodeRow, CpusRow, UserPagesRow, Verdict};
use findings::Findings;
use linpmem_capture::Reading;
use linpmem_capture::artifacts::{self, Processes};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_formats::StoredRange;
use linpmem_inspect::{AllTasks, Error, Machine, Task, Troubles};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{Content, PhysAddr};
use std::path::Path;

/// Checks the image of `args`.
///
/// # Errors
/// If the image does not open, or lacks what it would be checked with.
pub fn check(
    args: &InspectArgs,
    stderr: Stderr,
) -> Result<(CheckDocument, ExitStatus), InspectError> {
    let opened = Opened::open(args, stderr)?;
    let document = of_opened(&args.image, &opened)?;
    let status = status(&document, opened.is_cut_off());
    Ok((document, status))
}

/// Checks the image at `path`, which was just written.
///
/// # Errors
/// As [`check`].
pub(super) fn of_new_image(path: &Path) -> Result<CheckDocument, InspectError> {
    of_opened(path, &Opened::of(path, &Reading::default(), &mut |_| {})?)
}

fn status(document: &CheckDocument, is_cut_off: bool) -> ExitStatus {
    match document.verdict {
        Verdict::NotAnalysable => ExitStatus::Failed,
        Verdict::Damaged => ExitStatus::Unreadable,
        Verdict::Analysable if is_cut_off || document.has_strangers() => ExitStatus::Unreadable,
        Verdict::Analysable => ExitStatus::Complete,
    }
}

fn of_opened(path: &Path, opened: &Opened) -> Result<CheckDocument, InspectError> {
    let mut document = CheckDocument::new(path);
    let machine = match opened.machine() {
        Ok(machine) => machine,
        // The facts are there, and what they lead to is not.
        Err(InspectError::Kernel(error @ Error::Banner { .. })) => {
            document.no_kernel(&error.to_string());
            return Ok(document);
        }
        Err(InspectError::Kernel(error @ Error::Memory(_))) => {
            document.no_kernel(&format!(
                "the kernel is not where the artifacts place it: {error}. They may be of another boot, \
                 or the image lacks that memory"
            ));
            return Ok(document);
        }
        Err(other) => return Err(other),
    };
    document.kernel = Some(machine.banner().to_owned());
    let checks = Checks {
        machine: &machine,
        known: opened.known().as_ref(),
        listed: opened.listed().as_ref(),
        ranges: opened.ranges(),
    };
    match checks.run(&mut document) {
        Ok(()) => {}
        // A kernel whose banner is there and whose tasks are not.
        Err(error @ Error::Memory(_)) => document.no_kernel(&error.to_string()),
        Err(other) => return Err(other.into()),
    }
    Ok(document)
}

/// What an image is checked by.
struct Checks<'a> {
    machine: &'a Machine<'a>,
    known: Option<&'a artifacts::Machine>,
    listed: Option<&'a Processes>,
    ranges: &'a [StoredRange],
}

impl Checks<'_> {
    fn run(&self, document: &mut CheckDocument) -> Result<(), Error> {
        let all = AllTasks::of(self.machine)?;
        let mut troubles = all.troubles;
        let tasks: Vec<&Task> = all.tasks.iter().map(|found| &found.task).collect();
        document.boot = self.boot(document);
        document.cpus = self.cpus(&tasks, document)?;
        document.kernel_code = self.kernel_code(document)?;
        let modules = self.machine.modules()?;
        let mut structures = usize_as_u64(tasks.len() + modules.items.len());
        troubles.append(modules.troubles);
        document.modules = Some(modules::compared(&modules.items, self.known));
        document.processes = Some(processes::compared(
            &all.tasks,
            self.machine.idle_task()?,
            self.listed,
        ));
        let mut in_maps = Troubles::default();
        let pages = self.user_pages(&tasks, &mut in_maps)?;
        structures += pages.processes;
        troubles.append(in_maps);
        document.user_pages = Some(pages);
        document.structures = structures;
        document.torn = usize_as_u64(troubles.len()).saturating_add(troubles.more());
        document.troubles = in_words(&troubles);
        document.more_troubles = troubles.more();
        Findings::of(document).conclude(document);
        Ok(())
    }

    /// Whether the boot is the one of the artifacts.
    fn boot(&self, document: &mut CheckDocument) -> Option<BootRow> {
        let kept = self.known?.host.boot_id.clone()?;
        match self.machine.boot_id() {
            Ok(in_memory) => Some(BootRow { kept, in_memory }),
            Err(error) => {
                document.could_not("the id of the boot", &error);
                None
            }
        }
    }

    fn cpu_count(&self) -> u64 {
        let known = self.known.map(|known| known.cpus.per_cpu_offsets.len());
        usize_as_u64(known.unwrap_or(0)).max(1)
    }

    fn cpus(
        &self,
        tasks: &[&Task],
        document: &mut CheckDocument,
    ) -> Result<Option<CpusRow>, Error> {
        let count = self.cpu_count();
        let found = match self.machine.cpus(count) {
            Ok(found) => found,
            Err(error @ Error::Memory(_)) => return Err(error),
            Err(error) => {
                document.could_not("what the kernel keeps for each processor", &error);
                return Ok(None);
            }
        };
        let sane = found.items.iter().filter(|cpu| {
            let runs_task = || tasks.iter().any(|task| task.address == cpu.current);
            cpu.own_number == cpu.number && (cpu.current_pid == 0 || runs_task())
        });
        Ok(Some(CpusRow {
            count,
            sane: usize_as_u64(sane.count()),
        }))
    }

    fn kernel_code(&self, document: &mut CheckDocument) -> Result<Option<CodeRow>, Error> {
        match self.machine.kernel_code() {
            Ok(code) => Ok(Some(CodeRow {
                pages: code.pages,
                empty: code.empty,
                unreadable: code.unreadable,
            })),
            Err(error @ Error::Memory(_)) => Err(error),
            Err(error) => {
                document.could_not("the kernel's code", &error);
                Ok(None)
            }
        }
    }

    fn user_pages(&self, tasks: &[&Task], troubles: &mut Troubles) -> Result<UserPagesRow, Error> {
        let is_in_image = |phys: u64| {
            let at = PhysAddr::new(phys);
            let next = self.ranges.partition_point(|one| one.range.start() <= at);
            next.checked_sub(1)
                .and_then(|index| self.ranges.get(index))
                .is_some_and(|one| {
                    one.range.contains(at) && matches!(one.content, Content::Data | Content::Zero)
                })
        };
        let machine = self.machine;
        let pages = machine.user_pages(tasks, self.cpu_count(), &is_in_image, troubles)?;
        Ok(UserPagesRow {
            processes: pages.processes,
            mapped: pages.mapped,
            outside: pages.outside,
            swapped: pages.swapped,
            kept_in_swap: pages.kept_in_swap,
            broken_tables: pages.broken,
            counted_processes: pages.counted_processes,
            counted: pages.counted,
            found: pages.found,
            code: CodeRow {
                pages: pages.code_pages,
                empty: pages.empty_code_pages,
                unreadable: 0,
            },
        })
    }
}

impl CheckDocument {
    fn no_kernel(&mut self, error: &str) {
        self.verdict = Verdict::NotAnalysable;
        self.summary = format!("not analysable: {error}");
        self.advice = vec![findings::TRY_MODULE.to_owned()];
    }
}
