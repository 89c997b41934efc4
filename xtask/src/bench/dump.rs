// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions in a virtual machine, compared with AVML's in the same machine.

use super::{Report, Setting};
use crate::prepare;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Output, Vm};
use std::collections::BTreeMap;
use std::time::Duration;

/// How much of the machine's memory to fill.
pub(super) const FILLED_PERCENT: u32 = 70;
/// How long an acquisition may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(600);
/// Where the images go: a file system with nothing else on it.
pub(super) const FOLDER: &str = "/scratch";

/// An acquisition, to a file whose name is added to the command.
struct Job {
    name: &'static str,
    /// The job that it is compared with.
    baseline: &'static str,
    command: &'static str,
}

const fn job(name: &'static str, baseline: &'static str, command: &'static str) -> Job {
    Job {
        name,
        baseline,
        command,
    }
}

pub(super) const AVML: &str = "AVML";
pub(super) const AVML_PACKED: &str = "AVML --compress";

/// Ours print no progress, as AVML does not either.
const JOBS: &[Job] = &[
    job(AVML, AVML, "avml acquire --source /proc/kcore"),
    job("module", AVML, "linpmem-dump --progress none --format lime"),
    job(
        "kcore",
        AVML,
        "linpmem-dump --progress none --format lime --source kcore",
    ),
    job(
        "module, no file hash",
        AVML,
        "linpmem-dump --progress none --format lime --no-file-hash",
    ),
    job(
        "kcore, no file hash",
        AVML,
        "linpmem-dump --progress none --format lime --source kcore --no-file-hash",
    ),
    job(
        "module, no file hash, no artifacts",
        AVML,
        "linpmem-dump --progress none --format lime --no-file-hash --no-artifacts",
    ),
    job(
        "kcore, no file hash, no artifacts",
        AVML,
        "linpmem-dump --progress none --format lime --source kcore --no-file-hash --no-artifacts",
    ),
    job(
        AVML_PACKED,
        AVML_PACKED,
        "avml acquire --compress --source /proc/kcore",
    ),
    job(
        "module, lz4",
        AVML_PACKED,
        "linpmem-dump --progress none --format lime --compress lz4",
    ),
    job(
        "module, zstd:1",
        AVML_PACKED,
        "linpmem-dump --progress none --format lime --compress zstd:1",
    ),
    job(
        "kcore, lz4",
        AVML_PACKED,
        "linpmem-dump --progress none --format lime --source kcore --compress lz4",
    ),
];

/// The best result of a job.
#[derive(Clone, Copy, Debug)]
struct Taken {
    seconds: f64,
    user_seconds: f64,
    kernel_seconds: f64,
    peak_rss_mib: f64,
    image_mib: f64,
}

impl Taken {
    fn faster(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.seconds <= self.seconds => other,
            _ => self,
        }
    }
}

/// Ours and AVML's in turns, so that the machine's condition is the same for both.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let avml = setting.peers.avml()?;
    let (kernel, artifacts) = prepare::machines()?;
    let machine = Vm::builder(&kernel).memory_mib(1024).timeout(TIMEOUT);
    let target = TargetMachine::boot(machine, &artifacts)?;
    target.vm.push(&avml, "/bin/avml")?;
    eprintln!("[bench] {}", target.fill(FILLED_PERCENT)?);

    let mut best: BTreeMap<&str, Taken> = BTreeMap::new();
    for _ in 0..setting.rounds {
        for job in JOBS {
            let taken = job.run(&target.vm)?;
            eprintln!(
                "[bench] {}: {:.2} s ({:.2} s in user space, {:.2} s in the kernel), \
                 {:.1} MiB peak RSS, image {:.1} MiB",
                job.name,
                taken.seconds,
                taken.user_seconds,
                taken.kernel_seconds,
                taken.peak_rss_mib,
                taken.image_mib
            );
            let taken = taken.faster(best.get(job.name).copied());
            best.insert(job.name, taken);
        }
    }
    for job in JOBS {
        let (Some(ours), Some(theirs)) = (best.get(job.name), best.get(job.baseline)) else {
            continue;
        };
        if job.name == job.baseline {
            continue;
        }
        let name = |what| format!("dump/{} to {}: {what}", job.name, job.baseline);
        report.add(&name("time"), ours.seconds, "s", Some(theirs.seconds));
        report.add(
            &name("image"),
            ours.image_mib,
            "MiB",
            Some(theirs.image_mib),
        );
        report.add(
            &name("peak RSS"),
            ours.peak_rss_mib,
            "MiB",
            Some(theirs.peak_rss_mib),
        );
    }
    let binary = artifacts.dumper.metadata()?.len();
    report.add("dump/static binary", mib(binary), "MiB", None);
    target.end()
}

/// Runs an acquisition, which must succeed.
pub(super) fn acquire(vm: &Vm, words: &[&str]) -> Result<Output> {
    let output = vm.command(words).timeout(TIMEOUT).run()?;
    // 3: some pages could not be read, which is no failure here.
    let is_done = output.success() || output.ended.code == Some(3);
    ensure!(is_done, "{output}\n{}", output.text());
    Ok(output)
}

impl Job {
    /// One run.
    fn run(&self, vm: &Vm) -> Result<Taken> {
        let image = format!("{FOLDER}/image");
        vm.run(&["clear", FOLDER])?.ok()?;
        let words: Vec<&str> = self.command.split(' ').chain([&*image]).collect();
        let output = acquire(vm, &words)?;
        let left = vm.run(&["clear", FOLDER])?.ok()?;
        let size = left
            .stdout_text()?
            .lines()
            .find_map(|line| line.strip_suffix(" image"))
            .with_context(|| format!("{} left no image", self.command))?;
        let ended = output.ended;
        Ok(Taken {
            seconds: seconds(ended.wall_ms),
            user_seconds: seconds(ended.user_ms),
            kernel_seconds: seconds(ended.system_ms),
            peak_rss_mib: f64::from(u32::try_from(ended.max_rss_kib)?) / 1024.0,
            image_mib: mib(size.parse()?),
        })
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}
