// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fitting and loading the module, compared with loading one that was fitted before: time,
//! and pages of the machine's memory that change until it is unloaded.

use super::dump::{FILLED_PERCENT, FOLDER, TIMEOUT};
use super::pages::{Changed, count};
use super::{Report, Setting};
use crate::prepare;
use anyhow::{Context, Result};
use linpmem_testkit::artifacts::{ModuleKind, module_of};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::kernel_files;
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Output, Vm};
use std::time::Duration;

/// The command that fits, and the one that does not.
const FIT: &str = "pmem insmod";
const INSMOD: &str = "pmem insmod linpmem.ko";
/// The machine on its own, for as long as the shorter of them takes.
const IDLE: &str = "idle";

/// On a kernel that checks imports by sums and on one that does not: the former has to be
/// unpacked.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let cache = Cache::open()?;
    let (newest, _) = prepare::machines()?;
    let stable = Kernel::of_package(&cache, &KernelPackage::stable())?;
    for kernel in [stable, newest] {
        on(&kernel, setting, report)?;
    }
    Ok(())
}

fn on(kernel: &Kernel, setting: &Setting, report: &mut Report) -> Result<()> {
    let release = kernel.release();
    let machine = Vm::builder(kernel).memory_mib(1024).timeout(TIMEOUT);
    let (dumper, pmem) = (
        linpmem_testkit::artifacts::dumper()?,
        linpmem_testkit::artifacts::pmem()?,
    );
    let target = TargetMachine::with_dumper(machine.boot()?, &dumper)?;
    let vm = &target.vm;
    kernel_files::push(vm)?;
    // On the disk, as on a server: what is read from there enters memory.
    let vmlinuz = format!("{FOLDER}/bin/vmlinuz");
    vm.push(&kernel.vmlinuz(), &vmlinuz)?;
    vm.run(&["mask", &kernel_files::vmlinuz(release), &vmlinuz])?
        .ok()?;
    let pmem_in = format!("{FOLDER}/bin/pmem");
    vm.push(&pmem, &pmem_in)?;
    let module = format!("{FOLDER}/bin/linpmem.ko");
    vm.push(&module_of(ModuleKind::Fitted, kernel)?, &module)?;
    eprintln!("[bench] {release}: {}", target.fill(FILLED_PERCENT)?);

    let load = |words: &[&str]| -> Result<Output> {
        let output = vm.run(words)?.ok()?;
        vm.run(&[&pmem_in, "rmmod"])?.ok()?;
        Ok(output)
    };
    let mut best: Option<[Changed; 3]> = None;
    for _ in 0..setting.rounds {
        let insmod = Changed::by(&target, || load(&[&pmem_in, "insmod", &module]))?;
        let fit = Changed::by(&target, || load(&[&pmem_in, "insmod"]))?;
        let ms = insmod.ms.min(fit.ms).to_string();
        let idle = Changed::by(&target, || vm.run(&["rest", &ms])?.ok())?;
        let round = [fit, insmod, idle];
        for (name, changed) in [FIT, INSMOD, IDLE].into_iter().zip(round) {
            changed.print(name);
        }
        best = Some(match best {
            None => round,
            Some(best) => least(best, round),
        });
    }
    let [fit, insmod, idle] = best.context("no round")?;
    let own = |changed: Changed| count(changed.pages.saturating_sub(idle.pages));
    report.add(
        &format!("fit/{release}: pages changed"),
        own(fit)?,
        "pages",
        Some(own(insmod)?),
    );
    let seconds = |changed: Changed| Duration::from_millis(changed.ms).as_secs_f64();
    report.add(
        &format!("fit/{release}: time"),
        seconds(fit),
        "s",
        Some(seconds(insmod)),
    );
    target.end()
}

/// The best of two rounds, job by job.
fn least(one: [Changed; 3], other: [Changed; 3]) -> [Changed; 3] {
    let mut best = one;
    for (best, other) in best.iter_mut().zip(other) {
        best.pages = best.pages.min(other.pages);
        best.ms = best.ms.min(other.ms);
    }
    best
}
