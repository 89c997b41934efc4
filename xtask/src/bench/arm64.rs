// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions of emulated arm64 machines: how long one takes from the start of the
//! machine to a verified image, on each kernel; and beside AVML's, in the same machine.

use super::dump::{AVML, FILLED_PERCENT, Job, TIMEOUT, Taken, compare, job, mib};
use super::{Report, Setting};
use crate::dist;
use crate::setup::{self, Part};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::Vm;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const MEMORY_MIB: u32 = 512;

/// Without artifacts, which AVML does not collect.
const JOBS: &[Job] = &[
    job(AVML, AVML, "avml acquire --source /proc/kcore IMAGE"),
    job(
        "to LiME",
        AVML,
        "linpmem-dump --format lime --no-artifacts IMAGE",
    ),
    job(
        "to ELF",
        AVML,
        "linpmem-dump --format elf --no-artifacts IMAGE",
    ),
    job(
        "to ELF, with artifacts",
        AVML,
        "linpmem-dump --format elf IMAGE",
    ),
];

/// Runs it.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let cache = Cache::open()?;
    let parts = [Part::Tree, Part::Arm64Tree, Part::Arm64Kernel];
    setup::ensure(&cache, &parts)?;
    let [verifier, ..] = dist::build_programs()?;
    let programs = dist::build_programs_for(Arch::Aarch64)?;
    let dumper = programs.first().context("no dumper")?;
    beside_avml(&cache, dumper, setting, report)?;
    for kernel in Kernel::list(&cache)? {
        if kernel.arch() == Arch::Aarch64 {
            until_verified(&kernel, dumper, &verifier, report)?;
        }
    }
    report.add(
        "arm64: static binary",
        mib(dumper.metadata()?.len()),
        "MiB",
        None,
    );
    Ok(())
}

/// One machine, from its start to its verified image on the host.
fn until_verified(
    kernel: &Kernel,
    dumper: &Path,
    verifier: &Path,
    report: &mut Report,
) -> Result<()> {
    let started = Instant::now();
    let machine = Vm::builder(kernel).memory_mib(MEMORY_MIB).timeout(TIMEOUT);
    let target = TargetMachine::with_dumper(machine.boot()?, dumper)?;
    let up = target.vm.boot_time().as_secs_f64();
    target
        .dump(&["--format", "elf", "--progress", "none"], "image.core")?
        .exited(0)?;
    let image = target.pull("image.core")?;
    let verified = Command::new(verifier)
        .arg("verify")
        .arg(&image)
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
    let release = kernel.release();
    report.add(&format!("arm64: {release}: start to init"), up, "s", None);
    let whole = started.elapsed().as_secs_f64();
    eprintln!("[bench] arm64: {release}: up after {up:.1} s, verified after {whole:.1} s");
    report.add(
        &format!("arm64: {release}: start to verified"),
        whole,
        "s",
        None,
    );
    target.end()
}

/// Acquisitions in turns, in one machine, with AVML's if it was given.
fn beside_avml(cache: &Cache, dumper: &Path, setting: &Setting, report: &mut Report) -> Result<()> {
    let kernel = Kernel::of_package(cache, &KernelPackage::newest_of(Arch::Aarch64))?;
    let machine = Vm::builder(&kernel).memory_mib(MEMORY_MIB).timeout(TIMEOUT);
    let target = TargetMachine::with_dumper(machine.boot()?, dumper)?;
    let avml = setting.peers.avml_arm64()?;
    if let Some(avml) = &avml {
        target.vm.push(avml, "/bin/avml")?;
    }
    eprintln!("[bench] arm64: {}", target.fill(FILLED_PERCENT)?);
    let mut best: BTreeMap<&str, Taken> = BTreeMap::new();
    for _ in 0..setting.rounds {
        for job in JOBS.iter().filter(|job| job.name != AVML || avml.is_some()) {
            let taken = job.run(&target.vm)?;
            eprintln!("[bench] arm64: {}: {taken}", job.name);
            let taken = taken.least(best.get(job.name).copied());
            best.insert(job.name, taken);
        }
    }
    for job in JOBS.iter().filter(|job| job.name != AVML) {
        let taken = best.get(job.name).context("a job that did not run")?;
        let name = format!("arm64: {}: speed", job.name);
        report.add(&name, f64::from(MEMORY_MIB) / taken.seconds, "MiB/s", None);
        compare("arm64", job.name, job.baseline, &best, report);
    }
    target.end()
}
