// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions in a virtual machine, compared with AVML's in the same machine.

use super::{Report, Setting};
use crate::prepare;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Output, Vm};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How much of the machine's memory to fill.
pub(super) const FILLED_PERCENT: u32 = 70;
/// How long an acquisition may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(600);
/// Where the images go: a file system with nothing else on it.
pub(super) const FOLDER: &str = "/scratch";

/// An acquisition to the file IMAGE.
pub(super) struct Job {
    pub(super) name: &'static str,
    /// The job that it is compared with.
    pub(super) baseline: &'static str,
    command: &'static str,
}

pub(super) const fn job(name: &'static str, baseline: &'static str, command: &'static str) -> Job {
    Job {
        name,
        baseline,
        command,
    }
}

pub(super) const AVML: &str = "AVML";
pub(super) const AVML_PACKED: &str = "AVML --compress";
const LIME: &str = "LiME";
const MODULE: &str = "module";

/// All hashes and artifacts, as they are by default.
const JOBS: &[Job] = &[
    job(AVML, AVML, "avml acquire --source /proc/kcore IMAGE"),
    job(LIME, AVML, "insmod /bin/lime.ko format=lime path=IMAGE"),
    job(MODULE, AVML, "linpmem-dump --format lime IMAGE"),
    job(
        "kcore",
        AVML,
        "linpmem-dump --format lime --source kcore IMAGE",
    ),
    job("module, ELF", AVML, "linpmem-dump --format elf IMAGE"),
    job("module, raw", AVML, "linpmem-dump --format raw IMAGE"),
    job(
        AVML_PACKED,
        AVML_PACKED,
        "avml acquire --compress --source /proc/kcore IMAGE",
    ),
    job(
        "module, lz4",
        AVML_PACKED,
        "linpmem-dump --format lime --compress lz4 IMAGE",
    ),
    job(
        "module, zstd:1",
        AVML_PACKED,
        "linpmem-dump --format lime --compress zstd:1 IMAGE",
    ),
    job(
        "module, kdump",
        AVML_PACKED,
        "linpmem-dump --format kdump IMAGE",
    ),
    job(
        "module, AFF4",
        AVML_PACKED,
        "linpmem-dump --format aff4 IMAGE",
    ),
];

/// Processors: with SHA instructions, and like servers before them.
const PROCESSORS: &[(&str, &str)] = &[("sha-ni", "max"), ("no sha-ni", "max,sha-ni=off")];

/// The best result of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) seconds: f64,
    /// From the first page to the last, where the program tells.
    window: Option<f64>,
    user_seconds: f64,
    kernel_seconds: f64,
    peak_rss_mib: f64,
    image_mib: f64,
}

impl Taken {
    /// The least of each.
    pub(super) fn least(self, other: Option<Self>) -> Self {
        let Some(other) = other else {
            return self;
        };
        Self {
            seconds: self.seconds.min(other.seconds),
            window: match (self.window, other.window) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
            // Whoever looks for a bound wants to know the worst.
            peak_rss_mib: self.peak_rss_mib.max(other.peak_rss_mib),
            ..self
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s", self.seconds)?;
        if let Some(window) = self.window {
            write!(f, ", window {window:.2} s")?;
        }
        write!(
            f,
            " ({:.2} s in user space, {:.2} s in the kernel), {:.1} MiB peak RSS, image {:.1} MiB",
            self.user_seconds, self.kernel_seconds, self.peak_rss_mib, self.image_mib
        )
    }
}

/// On each processor.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    for (name, cpu) in PROCESSORS {
        on(name, cpu, setting, report)?;
    }
    let binary = prepare::machines()?.1.dumper.metadata()?.len();
    report.add("dump/static binary", mib(binary), "MiB", None);
    Ok(())
}

/// Ours and the peers' in turns, so that the machine's condition is the same for all.
fn on(processor: &str, cpu: &str, setting: &Setting, report: &mut Report) -> Result<()> {
    let (avml, lime) = (setting.peers.avml()?, setting.peers.lime()?);
    let (kernel, artifacts) = prepare::machines()?;
    let machine = Vm::builder(&kernel)
        .memory_mib(1024)
        .cpu(cpu)
        .timeout(TIMEOUT);
    let target = TargetMachine::boot(machine, &artifacts)?;
    target.vm.push(&avml, "/bin/avml")?;
    if let Some(lime) = lime {
        target.vm.push(lime, "/bin/lime.ko")?;
    }
    eprintln!("[bench] {processor}: {}", target.fill(FILLED_PERCENT)?);

    let jobs = || JOBS.iter().filter(|job| job.name != LIME || lime.is_some());
    let mut best: BTreeMap<&str, Taken> = BTreeMap::new();
    for _ in 0..setting.rounds {
        for job in jobs() {
            let taken = job.run(&target.vm)?;
            eprintln!("[bench] {processor}: {}: {taken}", job.name);
            let taken = taken.least(best.get(job.name).copied());
            best.insert(job.name, taken);
        }
    }
    for job in jobs().filter(|job| job.name != job.baseline) {
        let what = format!("dump/{processor}");
        compare(&what, job.name, job.baseline, &best, report);
    }
    if lime.is_some() {
        compare(&format!("dump/{processor}"), MODULE, LIME, &best, report);
    }
    target.end()
}

/// Adds what `name` took, beside `baseline`, to the figures of `bench`.
pub(super) fn compare(
    bench: &str,
    name: &str,
    baseline: &str,
    best: &BTreeMap<&str, Taken>,
    report: &mut Report,
) {
    let (Some(ours), Some(theirs)) = (best.get(name), best.get(baseline)) else {
        return;
    };
    let mut add = |what, ours, unit, theirs| {
        let name = format!("{bench}: {name} to {baseline}: {what}");
        report.add(&name, ours, unit, Some(theirs));
    };
    if let Some(window) = ours.window {
        add("window to time", window, "s", theirs.seconds);
    }
    add("time", ours.seconds, "s", theirs.seconds);
    add("image", ours.image_mib, "MiB", theirs.image_mib);
    add("peak RSS", ours.peak_rss_mib, "MiB", theirs.peak_rss_mib);
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
    fn is_ours(&self) -> bool {
        self.command.starts_with("linpmem-dump ")
    }

    /// One run.
    pub(super) fn run(&self, vm: &Vm) -> Result<Taken> {
        let image = format!("{FOLDER}/image");
        vm.run(&["clear", FOLDER])?.ok()?;
        let command = self.command.replace("IMAGE", &image);
        let mut words: Vec<&str> = command.split(' ').collect();
        if self.is_ours() {
            words.extend(["--progress", "none", "--json"]);
        }
        let output = acquire(vm, &words)?;
        if self.name == LIME {
            vm.run(&["rmmod", "lime"])?.ok()?;
        }
        let left = vm.run(&["clear", FOLDER])?.ok()?;
        let size = left
            .stdout_text()?
            .lines()
            .find_map(|line| line.strip_suffix(" image"))
            .with_context(|| format!("{} left no image", self.command))?;
        let ended = output.ended;
        Ok(Taken {
            seconds: seconds(ended.wall_ms),
            window: match self.is_ours() {
                true => Some(window(&output)?),
                false => None,
            },
            user_seconds: seconds(ended.user_ms),
            kernel_seconds: seconds(ended.system_ms),
            peak_rss_mib: f64::from(u32::try_from(ended.max_rss_kib)?) / 1024.0,
            image_mib: mib(size.parse()?),
        })
    }
}

/// How long memory was read, from the summary.
fn window(output: &Output) -> Result<f64> {
    let text = String::from_utf8_lossy(&output.stderr);
    let summary = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|line| line.get("event").is_some_and(|event| event == "summary"))
        .with_context(|| format!("no summary in {text}"))?;
    summary
        .get("read_seconds")
        .and_then(serde_json::Value::as_f64)
        .with_context(|| format!("no read_seconds in {summary}"))
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

pub(super) fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}
