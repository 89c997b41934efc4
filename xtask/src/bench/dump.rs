// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions in a virtual machine, beside AVML's in the same machine.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Report, Setting};
use crate::acquisition::Subject;
use crate::artifacts::{Artifacts, DUMPER};
use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::suites;
use crate::vm::Vm;

/// Of the machine's memory, so much is filled by programs.
const FILLED_PERCENT: u32 = 70;
/// As long as an acquisition may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Where the images go, a file system without anything else.
const FOLDER: &str = "/scratch";

/// What a job took, at best.
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

/// Ours and AVML's, round by round, so that both have the machine in the same
/// moods.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let avml = setting.peers.avml()?;
    suites::machines()?;
    let kernel = Kernel::default(&Cache::open()?)?;
    let artifacts = Artifacts::build(&kernel)?;
    let machine = Vm::builder(&kernel).memory_mib(1024).timeout(PATIENCE);
    let subject = Subject::boot(machine, &artifacts)?;
    subject.vm.push(&avml, "/bin/avml")?;
    eprintln!("[bench] {}", subject.fill(FILLED_PERCENT)?);

    let jobs: [(&str, &[&str]); 6] = [
        ("avml", &["avml", "acquire", "--source", "/proc/kcore"]),
        ("module", &[DUMPER, "--format", "lime"]),
        ("kcore", &[DUMPER, "--format", "lime", "--source", "kcore"]),
        (
            "avml --compress",
            &["avml", "acquire", "--compress", "--source", "/proc/kcore"],
        ),
        (
            "module zstd:1",
            &[DUMPER, "--format", "lime", "--compress", "zstd:1"],
        ),
        (
            "kcore zstd:1",
            &[
                DUMPER,
                "--format",
                "lime",
                "--source",
                "kcore",
                "--compress",
                "zstd:1",
            ],
        ),
    ];
    let mut best: [Option<Taken>; 6] = [None; 6];
    for _ in 0..setting.rounds {
        for ((name, argv), best) in jobs.iter().zip(&mut best) {
            let taken = job(&subject.vm, argv)?;
            eprintln!(
                "[bench] {name}: {:.2} s ({:.2} s in user space, {:.2} s in the kernel), \
                 {:.1} MiB at most, image {:.1} MiB",
                taken.seconds,
                taken.user_seconds,
                taken.kernel_seconds,
                taken.peak_rss_mib,
                taken.image_mib
            );
            *best = Some(taken.faster(*best));
        }
    }
    let [avml, module, kcore, packed, packed_module, packed_kcore] =
        best.map(|taken| taken.context("nothing was measured"));
    let (avml, packed) = (avml?, packed?);
    for (name, ours, theirs) in [
        ("module to avml", module?, avml),
        ("kcore to avml", kcore?, avml),
        ("module compressed to avml", packed_module?, packed),
        ("kcore compressed to avml", packed_kcore?, packed),
    ] {
        report.add(
            &format!("dump/{name}: time"),
            ours.seconds,
            "s",
            Some(theirs.seconds),
        );
        report.add(
            &format!("dump/{name}: image"),
            ours.image_mib,
            "MiB",
            Some(theirs.image_mib),
        );
        report.add(
            &format!("dump/{name}: peak RSS"),
            ours.peak_rss_mib,
            "MiB",
            Some(theirs.peak_rss_mib),
        );
    }
    let binary = artifacts.dumper.metadata()?.len();
    report.add("dump/static binary", mib(binary), "MiB", None);
    subject.end()
}

/// One run of `argv`, with the image's name added.
fn job(vm: &Vm, argv: &[&str]) -> Result<Taken> {
    let image = format!("{FOLDER}/image");
    vm.run(&["clear", FOLDER])?.ok()?;
    let words: Vec<&str> = argv.iter().copied().chain([&*image]).collect();
    let output = vm.command(&words).timeout(PATIENCE).run()?;
    // 3: some pages could not be read, which is told and no failure.
    let is_done = output.success() || output.ended.code == Some(3);
    ensure!(is_done, "{output}\n{}", output.text());
    let left = vm.run(&["clear", FOLDER])?.ok()?;
    let size = left
        .stdout_text()?
        .lines()
        .find_map(|line| line.strip_suffix(" image"))
        .with_context(|| format!("{argv:?} left no image"))?;
    let ended = output.ended;
    Ok(Taken {
        seconds: seconds(ended.wall_ms),
        user_seconds: seconds(ended.user_ms),
        kernel_seconds: seconds(ended.system_ms),
        peak_rss_mib: f64::from(u32::try_from(ended.max_rss_kib)?) / 1024.0,
        image_mib: mib(size.parse()?),
    })
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}
