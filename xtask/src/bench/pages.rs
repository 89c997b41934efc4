// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages of a machine's memory that an acquisition changes, compared with those that
//! AVML changes. Each of them may have been evidence.
//!
//! QEMU saves the memory before and after. Free pages are marked first, so that every
//! use of one leaves a trace. The programs and the module are on the disk, and enter
//! memory only when they run. The pages that change while a program just sleeps are
//! subtracted.

use super::dump::{AVML, AVML_PACKED, FILLED_PERCENT, FOLDER, TIMEOUT, acquire};
use super::{Report, Setting};
use crate::prepare;
use anyhow::{Context, Result};
use linpmem_testkit::ground_truth::changed_pages;
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Output, Vm};
use std::collections::BTreeMap;
use std::time::Duration;

/// An acquisition by a program in `/scratch/bin`, to a file that is added to the
/// command.
struct Job {
    name: &'static str,
    /// The job that it is compared with.
    baseline: &'static str,
    command: &'static str,
}

/// Those that use the module also load and unload it.
const JOBS: &[Job] = &[
    Job {
        name: AVML,
        baseline: AVML,
        command: "/scratch/bin/avml acquire --source /proc/kcore",
    },
    Job {
        name: "module",
        baseline: AVML,
        command: "/scratch/bin/linpmem-dump --progress none --format lime \
                --driver /scratch/bin/linpmem.ko",
    },
    // All that comes after the last page then is reading back, into the same buffers.
    Job {
        name: "module, without artifacts",
        baseline: AVML,
        command: "/scratch/bin/linpmem-dump --progress none --format lime --no-artifacts \
                --driver /scratch/bin/linpmem.ko",
    },
    Job {
        name: "kcore",
        baseline: AVML,
        command: "/scratch/bin/linpmem-dump --progress none --format lime --source kcore",
    },
    Job {
        name: AVML_PACKED,
        baseline: AVML_PACKED,
        command: "/scratch/bin/avml acquire --compress --source /proc/kcore",
    },
    Job {
        name: "module, zstd:1",
        baseline: AVML_PACKED,
        command: "/scratch/bin/linpmem-dump --progress none --format lime --compress zstd:1 \
                --driver /scratch/bin/linpmem.ko",
    },
];

/// The machine on its own.
const IDLE: &str = "idle";

/// Ours and AVML's in turns, and a pause as long as the shortest of them.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let avml = setting.peers.avml()?;
    let (kernel, artifacts) = prepare::machines()?;
    let machine = Vm::builder(&kernel).memory_mib(1024).timeout(TIMEOUT);
    let target = TargetMachine::with_dumper(machine.boot()?, &artifacts.dumper)?;
    for (file, name) in [
        (&avml, "avml"),
        (&artifacts.dumper, "linpmem-dump"),
        (&artifacts.module, "linpmem.ko"),
    ] {
        target.vm.push(file, &format!("{FOLDER}/bin/{name}"))?;
    }
    eprintln!("[bench] {}", target.fill(FILLED_PERCENT)?);

    let image = format!("{FOLDER}/image");
    let mut least: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..setting.rounds {
        let mut shortest = u64::MAX;
        for job in JOBS {
            let words: Vec<&str> = job.command.split_whitespace().chain([&*image]).collect();
            let changed = Changed::by(&target, || acquire(&target.vm, &words))?;
            changed.print(job.name);
            keep_least(&mut least, job.name, changed.pages);
            shortest = shortest.min(changed.ms);
        }
        let ms = shortest.to_string();
        let changed = Changed::by(&target, || target.vm.run(&["rest", &ms])?.ok())?;
        changed.print(IDLE);
        keep_least(&mut least, IDLE, changed.pages);
    }
    let idle = least.get(IDLE).copied().unwrap_or_default();
    report.add("dump/idle: pages changed", count(idle)?, "pages", None);
    let own = |name| -> Result<f64> {
        let pages = least.get(name).context("a job without a result")?;
        count(pages.saturating_sub(idle))
    };
    for job in JOBS.iter().filter(|job| job.name != job.baseline) {
        report.add(
            &format!("dump/{} to {}: pages changed", job.name, job.baseline),
            own(job.name)?,
            "pages",
            Some(own(job.baseline)?),
        );
    }
    target.end()
}

/// What a job changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    /// Pages whose content changed.
    pub pages: u64,
    /// How long it took.
    pub ms: u64,
}

impl Changed {
    /// Runs `job` in a machine with an empty page cache and a mark in all free memory.
    pub(super) fn by(target: &TargetMachine, job: impl FnOnce() -> Result<Output>) -> Result<Self> {
        target.vm.run(&["clear", FOLDER])?.ok()?;
        target.vm.run(&["mark"])?.ok()?;
        let before = target.snapshot("before")?;
        let output = job()?;
        let after = target.snapshot("after")?;
        let changed = changed_pages(before.map(), &before, &after)?;
        Ok(Self {
            pages: changed.iter().map(|range| range.len().pages()).sum(),
            ms: output.ended.wall_ms,
        })
    }

    pub(super) fn print(self, name: &str) {
        let Self { pages, ms } = self;
        eprintln!(
            "[bench] {name}: {pages} pages changed in {:.1} s ({} MiB)",
            Duration::from_millis(ms).as_secs_f64(),
            pages >> 8
        );
    }
}

fn keep_least<'a>(least: &mut BTreeMap<&'a str, u64>, name: &'a str, pages: u64) {
    let entry = least.entry(name).or_insert(pages);
    *entry = pages.min(*entry);
}

pub(super) fn count(pages: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(pages)?))
}
