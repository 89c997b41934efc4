// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask demo`: a real acquisition of a stock kernel in a virtual machine. The
//! image is then checked by QEMU's view of the memory, the dumper itself, sha256sum and
//! drgn.

mod proof;

use self::proof::Proof;
use crate::prepare;
use anyhow::{Context, Result, ensure};
use linpmem_phys::PhysLen;
use linpmem_testkit::artifacts::DUMPER;
use linpmem_testkit::checkout;
use linpmem_testkit::consumers::drgn;
use linpmem_testkit::ground_truth::open_elf;
use linpmem_testkit::target_machine::{Acquired, TargetMachine, companion};
use linpmem_testkit::vm::Vm;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The image's name.
const IMAGE: &str = "out.core";

/// The planted process: its name, and the token in its memory.
const PLANTED: (&str, &str) = ("suspicious", "4f1d2c8e-this-was-planted");

/// More than this share of RAM must have stayed the same, so that it can be compared.
const LEAST_SHARE: f64 = 0.80;

/// The command line of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The machine's memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,
    /// Percentage of it to fill
    #[arg(long, value_name = "PERCENT", default_value_t = 70)]
    fill: u32,
    /// Where to put the image and the proof [default: out in the checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Numbered steps, and how long each took.
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

    /// Prints the result of the step.
    fn done(&self, how: &str) {
        let seconds = self.last.elapsed().as_secs_f64();
        for line in how.lines() {
            println!("    {line}");
        }
        println!("    [{seconds:.1} s]");
    }
}

/// Runs `cargo xtask demo`.
pub fn run(args: &Args) -> Result<()> {
    let out = match &args.out {
        Some(out) => std::path::absolute(out)?,
        None => checkout::dir().join("out"),
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut steps = Steps::begin();

    steps.next("Build linpmem.ko for a stock kernel, and a static linpmem-dump");
    let (kernel, artifacts) = prepare::machines()?;
    let (module_kib, dumper_kib) = (kib(&artifacts.module)?, kib(&artifacts.dumper)?);
    steps.done(&format!(
        "linpmem.ko {module_kib} KiB, linpmem-dump {dumper_kib} KiB"
    ));

    let release = kernel.release();
    steps.next(&format!("Boot Debian's {release} and load the module"));
    let machine = Vm::builder(&kernel).memory_mib(args.memory);
    let target = TargetMachine::boot(machine, &artifacts)?.images_in(&out);
    let boot = target.vm.boot_time();
    steps.done(&format!(
        "{} MiB, 2 processors, emulated; booted in {:.1} s",
        args.memory,
        boot.as_secs_f64()
    ));

    steps.next("Fill its memory, and plant a process for drgn to find");
    let filled = target.fill(args.fill)?;
    let (name, token) = PLANTED;
    let (process, planted) = target.plant(name, token)?;
    steps.done(&format!("{filled}\n{planted}"));

    steps.next(&format!("In the machine: {DUMPER} --format elf {IMAGE}"));
    let acquired = target.acquire(&["--format", "elf"], IMAGE)?.complete()?;
    let speed = speed(&acquired)?;
    steps.done(&format!(
        "{}\npeak memory of {DUMPER}: {:.1} MiB",
        acquired.output.text().trim(),
        f64::from(u32::try_from(acquired.output.ended.max_rss_kib)?) / 1024.0
    ));

    steps.next("Compare the image with QEMU's own view of the memory");
    let comparison = acquired.compare_elf()?;
    steps.done(&comparison.to_string());
    comparison.require(LEAST_SHARE)?;

    steps.next(&format!("{DUMPER} verify, and sha256sum -c"));
    let verified = output_of(
        Command::new(&artifacts.dumper)
            .arg("verify")
            .arg(&acquired.image),
    )?;
    let summed = output_of(
        Command::new("sha256sum")
            .arg("-c")
            .arg(companion(Path::new(IMAGE), "sha256"))
            .current_dir(&out),
    )?;
    steps.done(&format!("{verified}\n{summed}"));

    steps.next("List the image's segments: the machine's System RAM");
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
        "drgn {}: release {}, {} tasks\nprocess {} is \"{}\"; its token is in memory: {}",
        findings.drgn,
        findings.release,
        findings.tasks,
        found.pid,
        found.cmdline.join(" "),
        found.token_in_memory
    ));
    ensure!(findings.release == release, "drgn found another release");
    ensure!(found.token_in_memory, "drgn did not find the token");

    steps.next("Power off, and check the kernel's log for warnings");
    drop(process);
    target.end()?;
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
        println!("    {name} ({})", PhysLen::new(len));
    }
    Ok(())
}

/// How long the dumper ran, in seconds, and how many MiB it read.
fn speed(acquired: &Acquired) -> Result<(f64, f64)> {
    let planned = acquired.manifest.json.pointer("/image/planned_bytes");
    let bytes = planned
        .and_then(serde_json::Value::as_u64)
        .context("no /image/planned_bytes in the manifest")?;
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

/// Runs a program, which must succeed, and returns what it prints.
fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    ensure!(
        output.status.success(),
        "{command:?} failed ({}):\n{text}",
        output.status
    );
    Ok(text)
}
