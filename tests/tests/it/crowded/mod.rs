// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine full of processes, on any kernel: what its image shows is what the machine said
//! of itself, in every format.

mod memory;
mod mounts;
mod tasks;

use crate::host_dumper;
use crate::inspected::files::{Said, compare_files, compare_sockets};
use crate::inspected::shown::{self, at};
use anyhow::{Context, Result, ensure};
use linpmem_phys::PhysRange;
use linpmem_testkit::artifacts;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Vm, iomem};
use linpmem_testkit::vouchers::{AgeKey, Vouchers};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;
use tasks::Tasks;

/// Processes of the crowd; the machine has some hundred others.
const COUNT: u64 = 2000;
const PAGE: u64 = 0x1000;

/// What the tool `crowd` said of itself.
struct Crowd {
    pid: u64,
    /// One of its children, the one that has another root, and the one that has its own mounts.
    child: u64,
    jailed: u64,
    contained: u64,
    document: Value,
}

impl Crowd {
    fn parse(line: &str) -> Result<Self> {
        let json = line.strip_prefix("crowd ").context("no crowd")?;
        let document: Value = serde_json::from_str(json)?;
        let number = |pointer| at(&document, pointer).as_u64().context("no number");
        let children = at(&document, "/children").as_array();
        ensure!(children.map(Vec::len) == Some(usize::try_from(COUNT)?));
        Ok(Self {
            pid: number("/pid")?,
            child: number("/children/0")?,
            jailed: number("/jailed")?,
            contained: number("/contained")?,
            document,
        })
    }
}

/// What the machine says at one moment.
struct Moment {
    tasks: Tasks,
    files: Said,
}

impl Moment {
    fn now(vm: &Vm) -> Result<Self> {
        Ok(Self {
            tasks: Tasks::of(vm)?,
            files: Said::by(vm)?,
        })
    }
}

#[test]
fn an_image_shows_what_the_machine_said() -> Result<()> {
    let cache = Cache::open()?;
    let kernel = match Kernel::chosen(&cache)? {
        Some(kernel) => kernel,
        None => Kernel::of_package(&cache, &KernelPackage::stable())?,
    };
    println!("kernel {}", kernel.release());
    let folder = tempfile::tempdir()?;
    let vm = Vm::builder(&kernel).boot()?;
    let dumper = artifacts::dumper_for(kernel.arch())?;
    let target = TargetMachine::with_dumper(vm, &dumper)?.images_in(folder.path());
    let vm = &target.vm;

    let mut opened = vm.command(&["open"]).start()?;
    println!("{}", opened.wait_for("opened ")?);
    let mut process = vm.command(&["crowd", &COUNT.to_string()]).start()?;
    let crowd = Crowd::parse(&process.wait_for("crowd ")?)?;
    let before = Moment::now(vm)?;
    let pids = [crowd.pid, crowd.child, crowd.jailed];
    let said = pids.map(|pid| vm.kernel_file(&format!("/proc/{pid}/maps")));
    let modules = vm.kernel_file("/proc/modules")?;
    let namespaces = [1, crowd.contained];
    let mounted = namespaces.map(|pid| vm.kernel_file(&format!("/proc/{pid}/mountinfo")));
    let huge = vm.kernel_file(&format!("/proc/{}/smaps_rollup", crowd.pid))?;
    let ended = target.dump(&["--format", "elf"], "whole.core")?;
    println!("{}", ended.text());
    ended.exited(0)?;
    let after = Moment::now(vm)?;
    let data = kernel_data(&vm.iomem()?)?;
    let image = target.pull("whole.core")?;
    drop((opened, process));
    target.end()?;

    is_sound(&image)?;
    let tasks = tasks::compare(&image, &before.tasks, &after.tasks, &crowd)?;
    let mut mappings = 0;
    for (pid, said) in pids.into_iter().zip(said) {
        mappings += shown::maps(&image, pid, &said?)?;
    }
    let modules = shown::modules(&image, &modules)?;
    let records = shown::dmesg(&image)?;
    let files = compare_files(
        &before.files,
        &after.files,
        &document("files", &image, &[])?,
    )?;
    let sockets = document("sockets", &image, &[])?;
    let sockets = compare_sockets(&before.files, &after.files, &sockets)?;
    let mut mounts = 0;
    for (pid, said) in namespaces.into_iter().zip(mounted) {
        mounts += mounts::compare(&image, pid, &said?)?;
    }
    let is_huge = huge.lines().any(|line| {
        let value = line.strip_prefix("AnonHugePages:");
        value.is_some_and(|value| value.trim() != "0 kB")
    });
    let regions = memory::compare(&image, &crowd)?;
    println!(
        "the same as in the machine: {tasks} threads, {mappings} mappings, {modules} modules, \
         {records} records of the log, {files} files, {sockets} sockets, {mounts} mounts in two \
         namespaces, {regions} regions of memory (huge pages: {is_huge})"
    );
    ensure!(
        files > 6000 && sockets > 20,
        "{files} files, {sockets} sockets"
    );
    every_format_shows_the_same(&image, &crowd, folder.path())?;
    without_kernel_data(&image, &data)
}

/// What a command shows of an image. 3: memory that was read while the machine ran contradicts
/// itself in places.
fn document(command: &str, image: &Path, more: &[&str]) -> Result<Value> {
    let (code, document) = shown::json(command, image, more)?;
    ensure!(
        matches!(code, Some(0 | 3)),
        "{command}: exit code {code:?}: {document:#}"
    );
    Ok(document)
}

/// `check` finds nothing wrong, and nobody hidden among so many.
fn is_sound(image: &Path) -> Result<()> {
    let begin = Instant::now();
    let (code, document) = shown::json("check", image, &[])?;
    let seconds = begin.elapsed().as_secs_f64();
    println!("check: {} ({seconds:.2} s)", at(&document, "/summary"));
    ensure!(
        code == Some(0) && at(&document, "/verdict") == "analysable",
        "exit code {code:?}: {document:#}"
    );
    ensure!(at(&document, "/processes/in_image").as_u64() > Some(COUNT));
    Ok(())
}

fn every_format_shows_the_same(image: &Path, crowd: &Crowd, folder: &Path) -> Result<()> {
    let key = AgeKey::new(&Vouchers::open()?, folder)?;
    let identity = key.file.to_str().context("a path that is not UTF-8")?;
    let pid = crowd.pid.to_string();
    let commands: [(&str, &[&str]); 8] = [
        ("check", &[]),
        ("ps", &["--threads"]),
        ("maps", &["--pid", &pid]),
        ("modules", &[]),
        ("dmesg", &[]),
        ("files", &["--pid", &pid]),
        ("sockets", &[]),
        ("mounts", &[]),
    ];
    let unnamed = |command, image: &Path, more: &[&str]| -> Result<Value> {
        let mut document = document(command, image, more)?;
        let members = document.as_object_mut().context("no object")?;
        members.remove("image").context("no image")?;
        Ok(document)
    };
    let expected: Vec<Value> = commands
        .iter()
        .map(|(command, words)| unnamed(command, image, words))
        .collect::<Result<_>>()?;
    for name in ["same.aff4", "same.kdump", "same.core.zst", "same.core.age"] {
        let other = folder.join(name);
        let mut convert = host_dumper::command()?;
        convert.args(["convert", "--progress", "none"]);
        let mut more = Vec::new();
        let output = match name.strip_suffix(".age") {
            Some(plain) => {
                convert.args(["--encrypt-to", &key.public]);
                more.extend(["--identity", identity]);
                folder.join(plain)
            }
            None => other.clone(),
        };
        let done = convert.arg(image).arg(output).output()?;
        ensure!(done.status.success(), "{}", host_dumper::printed(&done));
        for ((command, words), expected) in commands.iter().zip(&expected) {
            let words = [*words, &more[..]].concat();
            let found = unnamed(command, &other, &words)?;
            ensure!(found == *expected, "{command} of {name} is another");
        }
        fs::remove_file(&other)?;
    }
    Ok(())
}

/// Where the machine's kernel has its data.
fn kernel_data(iomem: &str) -> Result<PhysRange> {
    let lines = iomem.lines();
    let mut found = lines.filter_map(|line| line.trim().strip_suffix(" : Kernel data"));
    iomem::range(found.next().context("no data of the kernel")?)
}

/// The image as a source gives it that has zeros for the kernel's data, as the linear map of
/// arm64 does in /proc/kcore.
fn without_kernel_data(image: &Path, data: &PhysRange) -> Result<()> {
    let file = File::options().write(true).open(image)?;
    let opened = linpmem_formats::open_image(image)?;
    let mut zeroed = 0;
    for stored in opened.ranges() {
        let Some(offset) = stored.offset else {
            continue;
        };
        let (first, end) = (stored.range.start().get(), stored.range.end().get());
        let from = data.start().get().max(first);
        for at in (from..data.end().get().min(end)).step_by(usize::try_from(PAGE)?) {
            file.write_all_at(&[0; 0x1000], offset + (at - first))?;
            zeroed += 1;
        }
    }
    ensure!(zeroed > 100, "{zeroed} pages of the kernel's data");
    let (code, document) = shown::json("check", image, &[])?;
    println!(
        "without the {zeroed} pages of the kernel's data: {}",
        at(&document, "/summary")
    );
    ensure!(
        code == Some(1) && at(&document, "/verdict") == "not-analysable",
        "exit code {code:?}: {document:#}"
    );
    Ok(())
}
