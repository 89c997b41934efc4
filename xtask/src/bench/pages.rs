// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages of a machine's memory that an acquisition changes, beside those that
//! AVML's changes. Each of them may have been evidence.
//!
//! QEMU saves the memory before and after. Free pages are marked first, so that
//! whoever uses one leaves a trace. The programs and the module lie on the disk, and
//! come into memory by being run. What the machine changes by itself, beside a
//! program that only sleeps, is taken off.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use super::dump::{AVML, AVML_PACKED, FILLED_PERCENT, FOLDER, PATIENCE, acquire};
use super::{Report, Setting};
use crate::acquisition::Subject;
use crate::artifacts::Artifacts;
use crate::cache::Cache;
use crate::ground_truth::changed_pages;
use crate::kernel::Kernel;
use crate::suites;
use crate::vm::{Output, Vm};

/// An acquisition by a program in `/scratch/bin`, to a file that is added to its
/// words.
struct Job {
    name: &'static str,
    /// What it is compared with.
    beside: &'static str,
    words: &'static str,
}

/// Those through the module load and unload it as well.
const JOBS: &[Job] = &[
    Job {
        name: AVML,
        beside: AVML,
        words: "/scratch/bin/avml acquire --source /proc/kcore",
    },
    Job {
        name: "module",
        beside: AVML,
        words: "/scratch/bin/linpmem-dump --progress none --format lime \
                --driver /scratch/bin/linpmem.ko",
    },
    Job {
        name: "kcore",
        beside: AVML,
        words: "/scratch/bin/linpmem-dump --progress none --format lime --source kcore",
    },
    Job {
        name: AVML_PACKED,
        beside: AVML_PACKED,
        words: "/scratch/bin/avml acquire --compress --source /proc/kcore",
    },
    Job {
        name: "module, zstd:1",
        beside: AVML_PACKED,
        words: "/scratch/bin/linpmem-dump --progress none --format lime --compress zstd:1 \
                --driver /scratch/bin/linpmem.ko",
    },
];

/// What the machine does by itself.
const IDLE: &str = "idle";

/// Ours and AVML's, round by round, and as much rest as the shortest of them takes.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let avml = setting.peers.avml()?;
    suites::machines()?;
    let kernel = Kernel::default(&Cache::open()?)?;
    let artifacts = Artifacts::build(&kernel)?;
    let machine = Vm::builder(&kernel).memory_mib(1024).timeout(PATIENCE);
    let subject = Subject::without_module(machine.boot()?, &artifacts)?;
    for (file, name) in [
        (&avml, "avml"),
        (&artifacts.dumper, "linpmem-dump"),
        (&artifacts.module, "linpmem.ko"),
    ] {
        subject.vm.push(file, &format!("{FOLDER}/bin/{name}"))?;
    }
    eprintln!("[bench] {}", subject.fill(FILLED_PERCENT)?);

    let image = format!("{FOLDER}/image");
    let mut least: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..setting.rounds {
        let mut shortest = u64::MAX;
        for job in JOBS {
            let words: Vec<&str> = job.words.split_whitespace().chain([&*image]).collect();
            let changed = Changed::by(&subject, || acquire(&subject.vm, &words))?;
            changed.tell(job.name);
            keep_least(&mut least, job.name, changed.pages);
            shortest = shortest.min(changed.ms);
        }
        let ms = shortest.to_string();
        let changed = Changed::by(&subject, || subject.vm.run(&["rest", &ms])?.ok())?;
        changed.tell(IDLE);
        keep_least(&mut least, IDLE, changed.pages);
    }
    let idle = least.get(IDLE).copied().unwrap_or_default();
    report.add("dump/idle: pages changed", count(idle)?, "pages", None);
    let own = |name| -> Result<f64> {
        let pages = least.get(name).context("a job without a result")?;
        count(pages.saturating_sub(idle))
    };
    for job in JOBS.iter().filter(|job| job.name != job.beside) {
        report.add(
            &format!("dump/{} to {}: pages changed", job.name, job.beside),
            own(job.name)?,
            "pages",
            Some(own(job.beside)?),
        );
    }
    subject.end()
}

/// What a program did.
#[derive(Clone, Copy, Debug)]
struct Changed {
    /// Pages that are not what they were.
    pages: u64,
    ms: u64,
}

impl Changed {
    /// Runs `job` in a machine that has nothing in its page cache and a mark in all
    /// memory that is free.
    fn by(subject: &Subject, job: impl FnOnce() -> Result<Output>) -> Result<Self> {
        subject.vm.run(&["clear", FOLDER])?.ok()?;
        subject.vm.run(&["mark"])?.ok()?;
        let before = subject.snapshot("before")?;
        let output = job()?;
        let after = subject.snapshot("after")?;
        let changed = changed_pages(before.map(), &before, &after)?;
        Ok(Self {
            pages: changed.iter().map(|range| range.len().pages()).sum(),
            ms: output.ended.wall_ms,
        })
    }

    fn tell(self, name: &str) {
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

fn count(pages: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(pages)?))
}
