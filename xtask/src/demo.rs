// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask demo`: the main job for real. A stock kernel in a virtual machine
//! is acquired, and what came out is held against what QEMU, the dumper itself,
//! sha256sum and drgn have to say.

mod proof;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::proof::Proof;
use crate::acquisition::{Acquired, Subject, beside};
use crate::artifacts::{Artifacts, DUMPER};
use crate::cache::Cache;
use crate::checkout;
use crate::drgn;
use crate::ground_truth::open_elf;
use crate::kernel::Kernel;
use crate::setup::{self, Part};
use crate::vm::Vm;

/// The image's name.
const IMAGE: &str = "out.core";

/// The planted process: its name, and what it holds in memory.
const PLANTED: (&str, &str) = ("suspicious", "4f1d2c8e-this-was-planted");

/// Of all RAM, more than this must have been the same all the time.
const LEAST_SHARE: f64 = 0.80;

/// The command line of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The machine's memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,
    /// Percent of it that programs occupy
    #[arg(long, value_name = "PERCENT", default_value_t = 70)]
    fill: u32,
    /// Where the image and the proof go [default: out, in the checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Numbered steps and what each took.
struct Steps {
    started: Instant,
    last: Instant,
    number: u32,
}

impl Steps {
    fn begin() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            last: now,
            number: 0,
        }
    }

    /// Announces the next step.
    fn next(&mut self, what: &str) {
        self.number += 1;
        self.last = Instant::now();
        println!("{:>2}. {what}", self.number);
    }

    /// Says how the step went.
    fn done(&self, how: &str) {
        let seconds = self.last.elapsed().as_secs_f64();
        for line in how.lines() {
            println!("    {line}");
        }
        println!("    [{seconds:.1} s]");
    }
}

/// Runs `cargo xtask demo`.
///
/// # Errors
/// When a step fails, or the image is not what the machine's memory was.
pub fn run(args: &Args) -> Result<()> {
    let out = match &args.out {
        Some(out) => std::path::absolute(out)?,
        None => checkout::dir().join("out"),
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let cache = Cache::open()?;
    let mut steps = Steps::begin();

    steps.next("Build linpmem.ko for a stock kernel, and a static linpmem-dump");
    setup::ensure(
        &cache,
        &[
            Part::Root,
            Part::Kernel,
            Part::Debug,
            Part::Kdir,
            Part::Python,
        ],
    )?;
    let kernel = Kernel::default(&cache)?;
    let artifacts = Artifacts::build(&kernel)?;
    let sizes = [&artifacts.module, &artifacts.dumper].map(|path| kib(path));
    let [module_kib, dumper_kib] = sizes;
    let (module_kib, dumper_kib) = (module_kib?, dumper_kib?);
    steps.done(&format!(
        "linpmem.ko {module_kib} KiB, linpmem-dump {dumper_kib} KiB"
    ));

    let release = kernel.release();
    steps.next(&format!("Boot Debian's {release} and load the module"));
    let machine = Vm::builder(&kernel).memory_mib(args.memory);
    let subject = Subject::boot(machine, &artifacts)?.images_in(&out);
    let boot = subject.vm.boot_time();
    steps.done(&format!(
        "{} MiB, 2 processors, emulated; up after {:.1} s",
        args.memory,
        boot.as_secs_f64()
    ));

    steps.next("Use its memory, and plant a process to be found");
    let filled = subject.fill(args.fill)?;
    let (name, token) = PLANTED;
    let (_process, planted) = subject.plant(name, token)?;
    steps.done(&format!("{filled}\n{planted}"));

    steps.next(&format!("In the machine: {DUMPER} --format elf {IMAGE}"));
    let acquired = subject.acquire(&["--format", "elf"], IMAGE)?.complete()?;
    let speed = speed(&acquired)?;
    steps.done(&format!(
        "{}\npeak memory of {DUMPER}: {:.1} MiB",
        acquired.output.text().trim(),
        f64::from(u32::try_from(acquired.output.ended.max_rss_kib)?) / 1024.0
    ));

    steps.next("Compare the image with QEMU's own view of that memory");
    let comparison = acquired.compare_elf()?;
    steps.done(&comparison.to_string());
    comparison.require(LEAST_SHARE)?;

    steps.next(&format!("{DUMPER} verify, and sha256sum -c"));
    let verified = said(
        Command::new(&artifacts.dumper)
            .arg("verify")
            .arg(&acquired.image),
    )?;
    let summed = said(
        Command::new("sha256sum")
            .arg("-c")
            .arg(beside(Path::new(IMAGE), "sha256"))
            .current_dir(&out),
    )?;
    steps.done(&format!("{verified}\n{summed}"));

    steps.next("The image's segments, which are the machine's System RAM");
    let image = open_elf(&acquired.image)?;
    let segments: Vec<String> = image
        .pieces()
        .iter()
        .map(|piece| {
            let (range, len) = (piece.range, piece.range.len());
            format!(
                "LOAD offset {:#010x} physical {range} ({len})",
                piece.offset
            )
        })
        .collect();
    steps.done(&segments.join("\n"));

    steps.next("Open the image in drgn, with the kernel's debug symbols");
    let address = planted.rsplit(' ').next().unwrap_or_default();
    let findings = drgn::examine(&acquired.image, &kernel, name, token, address)?;
    let found = findings.planted.first();
    let found = found.with_context(|| format!("drgn found no process called {name}"))?;
    steps.done(&format!(
        "drgn {}: release {}, {} tasks\nprocess {} is \"{}\"; its memory holds what it should: {}",
        findings.drgn,
        findings.release,
        findings.tasks,
        found.pid,
        found.cmdline.join(" "),
        found.token_in_memory
    ));
    ensure!(findings.release == release, "that is not the release");
    ensure!(found.token_in_memory, "the planted memory is not there");

    steps.next("Switch off; the kernel's log holds no warning");
    drop(_process);
    subject.end()?;
    steps.done("none");

    let proof = Proof {
        kernel: release.to_owned(),
        memory_mib: args.memory,
        module_kib,
        dumper_kib,
        boot_seconds: boot.as_secs_f64(),
        filled,
        planted,
        speed,
        peak_rss_kib: acquired.output.ended.max_rss_kib,
        comparison,
        least_share: LEAST_SHARE,
        verified,
        sha256sum: summed,
        segments,
        drgn: findings,
        seconds: steps.started.elapsed().as_secs_f64(),
    };
    proof.write(&out.join("proof.json"))?;
    println!("\n{proof}\n\nIn {}:", out.display());
    for name in [
        IMAGE,
        "out.core.manifest.jsonl",
        "out.core.sha256",
        "proof.json",
    ] {
        let len = out.join(name).metadata()?.len();
        println!("    {name} ({})", linpmem_phys::PhysLen::new(len));
    }
    Ok(())
}

/// How long the dumper ran, in seconds, and how many MiB it read.
fn speed(acquired: &Acquired) -> Result<(f64, f64)> {
    let planned = acquired.manifest.json.pointer("/image/planned_bytes");
    let bytes = planned
        .and_then(serde_json::Value::as_u64)
        .context("the manifest does not say how much was read")?;
    let wall = Duration::from_millis(acquired.output.ended.wall_ms);
    let mib = f64::from(u32::try_from(bytes >> 10)?) / 1024.0;
    Ok((wall.as_secs_f64(), mib))
}

fn kib(path: &Path) -> Result<u64> {
    let data = path.metadata();
    Ok(data
        .with_context(|| format!("reading {}", path.display()))?
        .len()
        .div_ceil(1024))
}

/// Runs a program that must succeed, and returns what it wrote.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{text}",
        output.status
    );
    Ok(text)
}
