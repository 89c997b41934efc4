// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the figures of a check mean, and what to do about it.

use crate::text::check::{CheckDocument, CodeRow, Verdict};
use crate::text::figures::{count, processes, share};
use linpmem_phys::num::usize_as_u64;

/// So many names are in a sentence.
const SHOWN: usize = 5;
/// How far what the kernel has counted and what is found may be apart, for each process: it counts
/// in batches.
const COUNTED_LATER: u64 = 64;

/// Contradictions that a sound image has: this program's own threads begin and end while memory is
/// read.
const OWN_THREADS: u64 = 8;

const TRY_FREEZE: &str = "if the machine still runs, acquire it again with --freeze, which suspends \
    programs while memory is read, or with --second-pass, which shows what changes";
pub(super) const TRY_MODULE: &str = "keep this image; if the machine still runs, acquire it again \
    through the module (--driver fit), which reads what the kernel's own files do not give";
const LOOK_CLOSER: &str = "compare `linpmem-dump ps` and `modules` with what the machine itself \
    shows, and treat its own tools as part of the evidence";

/// What is wrong with an image.
#[derive(Default)]
pub(super) struct Findings {
    /// What keeps all of it from being analysed.
    other_boot: Option<String>,
    damage: Vec<String>,
    /// What a reader has to know, and is no damage.
    notes: Vec<String>,
    advice: Vec<&'static str>,
}

impl Findings {
    /// What the figures in `document` mean.
    pub(super) fn of(document: &CheckDocument) -> Self {
        let mut findings = Self::default();
        findings.boot(document);
        findings.kernel(document);
        findings.processes(document);
        findings.modules(document);
        findings.user_pages(document);
        findings.torn(document);
        findings
    }

    /// Adds the verdict and its reasons to `document`.
    pub(super) fn conclude(self, document: &mut CheckDocument) {
        let summary = document.in_short();
        let is_empty = document
            .processes
            .as_ref()
            .is_some_and(|row| row.in_image == 0);
        (document.verdict, document.summary) = match (&self.other_boot, self.damage.is_empty()) {
            (None, _) if is_empty => (
                Verdict::NotAnalysable,
                format!(
                    "not analysable: the kernel is there, and none of its processes: {summary}"
                ),
            ),
            (Some(reason), _) => (
                Verdict::NotAnalysable,
                format!("not analysable with these artifacts: {reason}"),
            ),
            (None, true) => (Verdict::Analysable, format!("analysable: {summary}")),
            (None, false) => (
                Verdict::Damaged,
                format!("damaged, analysable in part: {summary}"),
            ),
        };
        document.findings = self.other_boot.into_iter().chain(self.damage).collect();
        document.notes = self.notes;
        document.advice = self.advice.into_iter().map(str::to_owned).collect();
    }

    fn damaged(&mut self, finding: String, advice: &'static str) {
        self.damage.push(finding);
        self.advise(advice);
    }

    fn advise(&mut self, advice: &'static str) {
        if !self.advice.contains(&advice) {
            self.advice.push(advice);
        }
    }

    fn boot(&mut self, document: &CheckDocument) {
        let Some(boot) = &document.boot else { return };
        let Some(in_memory) = boot.in_memory.as_ref().filter(|id| **id != boot.kept) else {
            return;
        };
        // Where most of the processes are that the machine listed, that page is damaged.
        let is_known = document.processes.as_ref().is_some_and(|processes| {
            let listed = processes.listed_after.unwrap_or(0);
            usize_as_u64(processes.missing.len()).saturating_mul(2) < listed
        });
        match is_known {
            true => self.damaged(
                format!(
                    "the id of the boot is {in_memory} in memory, and was {}: its page is damaged",
                    boot.kept
                ),
                TRY_FREEZE,
            ),
            false => {
                self.other_boot = Some(format!(
                    "they are of the boot {}, and the memory is of the boot {in_memory}",
                    boot.kept
                ));
            }
        }
    }

    fn kernel(&mut self, document: &CheckDocument) {
        if let Some(code) = &document.kernel_code {
            self.code("the kernel's code", code);
        }
        if let Some(cpus) = document.cpus.as_ref().filter(|cpus| cpus.sane < cpus.count) {
            let wrong = cpus.count - cpus.sane;
            self.damaged(
                format!(
                    "what the kernel keeps for {} is not what it should be",
                    count(wrong, "processor")
                ),
                TRY_FREEZE,
            );
        }
    }

    fn code(&mut self, what: &str, code: &CodeRow) {
        let bad = code.empty + code.unreadable;
        // An empty page more or less may be one of a library's.
        if bad > 1 && bad.saturating_mul(100) > code.pages {
            self.damaged(
                format!(
                    "{} of {} pages of {what} that were looked at ({}) are empty or missing",
                    bad,
                    code.pages,
                    share(bad, code.pages)
                ),
                TRY_MODULE,
            );
        }
    }

    fn processes(&mut self, document: &CheckDocument) {
        let Some(row) = &document.processes else {
            return;
        };
        let missing = usize_as_u64(row.missing.len());
        if missing > 0 {
            let names = row.missing.iter();
            let names = names.map(|process| format!("{} ({})", process.pid, process.name));
            let finding = format!(
                "{} that /proc listed before and after {} not found: {}",
                processes(missing),
                if missing == 1 { "is" } else { "are" },
                listed(names)
            );
            match missing.saturating_mul(50) > row.in_image {
                true => self.damaged(finding, TRY_FREEZE),
                false => self.notes.push(finding),
            }
        }
        if !row.hidden.is_empty() {
            let names = row.hidden.iter();
            let names = names.map(|process| format!("{} ({})", process.pid, process.name));
            self.notes.push(format!(
                "{} older than the acquisition, and /proc did not list {}: {}. Something may hide \
                 {} from programs",
                match row.hidden.len() {
                    1 => "a process is".to_owned(),
                    many => format!("{many} processes are"),
                },
                them(row.hidden.len()),
                listed(names),
                them(row.hidden.len()),
            ));
            self.advise(LOOK_CLOSER);
        }
    }

    fn modules(&mut self, document: &CheckDocument) {
        let Some(modules) = &document.modules else {
            return;
        };
        if !modules.missing.is_empty() {
            self.notes.push(format!(
                "/proc/modules listed what the image does not have: {}",
                listed(modules.missing.iter().cloned())
            ));
        }
        if !modules.hidden.is_empty() {
            self.notes.push(format!(
                "the image has what /proc/modules did not list: {}. Something may hide {} from \
                 programs",
                listed(modules.hidden.iter().cloned()),
                them(modules.hidden.len())
            ));
            self.advise(LOOK_CLOSER);
        }
    }

    fn user_pages(&mut self, document: &CheckDocument) {
        let Some(pages) = &document.user_pages else {
            return;
        };
        self.code("programs and libraries", &pages.code);
        if pages.outside.saturating_mul(100) > pages.mapped {
            self.damaged(
                format!(
                    "{} of {} pages of processes ({}) are not in the image",
                    pages.outside,
                    pages.mapped,
                    share(pages.outside, pages.mapped)
                ),
                TRY_MODULE,
            );
        }
        if pages.broken_tables.saturating_mul(50) > pages.processes {
            self.damaged(
                format!(
                    "{} of {} lead out of memory or are missing",
                    count(pages.broken_tables, "page table"),
                    processes(pages.processes)
                ),
                TRY_FREEZE,
            );
        }
        let late = pages.counted_processes.saturating_mul(COUNTED_LATER);
        let expected = pages.counted.saturating_sub(pages.counted / 20);
        if pages.found.saturating_add(late) < expected {
            self.damaged(
                format!(
                    "the kernel has counted {} pages of {}, and their page tables lead to {}",
                    pages.counted,
                    processes(pages.counted_processes),
                    pages.found
                ),
                TRY_FREEZE,
            );
        }
    }

    fn torn(&mut self, document: &CheckDocument) {
        let is_more = document.torn.saturating_mul(20) > document.structures;
        if document.torn > OWN_THREADS && is_more {
            self.damaged(
                format!(
                    "{} in {} structures",
                    count(document.torn, "contradiction"),
                    document.structures
                ),
                TRY_FREEZE,
            );
        }
    }
}

const fn them(number: usize) -> &'static str {
    match number {
        1 => "it",
        _ => "them",
    }
}

/// The first few of `names`.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.get(..names.len() - more).unwrap_or(&names).join(", ");
    match more {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
