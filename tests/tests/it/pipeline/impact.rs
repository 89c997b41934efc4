// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--freeze`, `--order volatile-first` and `--second-pass` in a running machine.

use super::{at, json};
use crate::contains::contains;
use crate::{machines, wait};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts::DUMPER;
use linpmem_testkit::ground_truth::Manifest;
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::target_machine::companion;
use linpmem_testkit::vm::{Vm, guest};
use serde_json::Value;
use std::thread;
use std::time::Duration;

const COUNT: &str = "/tmp/count";

#[test]
fn programs_are_frozen_while_memory_is_read_and_thawed_however_it_ends() -> Result<()> {
    let target = machines::target(|machine| machine.memory_mib(256))?;
    let vm = &target.vm;
    let mut ticking = vm.command(&["tick", "work/here", COUNT]).start()?;
    ticking.wait_for("ticking")?;
    moves(vm, "before")?;

    // A run that completes.
    let range = ["--range", "0x1000000+96MiB", "--no-artifacts"];
    let slow = [&["--freeze", "--rate", "16"][..], &range].concat();
    let mut run = target.start(&slow, "whole.core")?;
    stands_still(vm)?;
    ensure!(!run.ends_within(Duration::ZERO)?, "it ended too early");
    run.wait()?.exited(0)?;
    moves(vm, "after a whole run")?;
    let manifest = Manifest::parse(&vm.read("/scratch/whole.core.manifest.jsonl")?)?.json;
    ensure!(
        *at(&manifest, "/frozen") == serde_json::json!(["/sys/fs/cgroup/work"]),
        "{manifest}"
    );

    // SIGINT, and SIGKILL, which the program itself cannot handle.
    for (signal, name) in [(2, "cut.core"), (9, "killed.core")] {
        let run = target.start(&slow, name)?;
        stands_still(vm)?;
        run.signal(signal)?;
        run.wait()?;
        moves(vm, &format!("after {name}"))?;
    }

    // What ends a service or a session ends both processes, if they let it: SIGTERM to both,
    // then SIGKILL to the one that does not end.
    let run = target.start(&slow, "stopped.core")?;
    stands_still(vm)?;
    let watchdog = watchdog_of(vm, run.pid())?;
    for pid in [watchdog, run.pid()] {
        vm.signal(pid, 1)?;
        vm.signal(pid, 15)?;
    }
    run.signal(9)?;
    run.wait()?;
    moves(vm, "after SIGTERM to both")?;

    killed_with_its_group(&target, &slow)?;

    // Not longer than the limit allows, though the acquisition goes on.
    let limited = [&["--freeze-limit", "2"][..], &slow].concat();
    let mut run = target.start(&limited, "limited.core")?;
    stands_still(vm)?;
    wait::until("the limit resumes the programs", || {
        Ok(moves(vm, "at the limit").ok())
    })?;
    ensure!(!run.ends_within(Duration::ZERO)?, "it ended too early");
    let ended = run.wait()?.exited(0)?;
    contains(
        &ended.text(),
        &[
            "probably take longer than 2 s",
            "after 2 s, the programs were resumed",
        ],
    )?;

    // A run that is refused freezes nothing.
    let argv = [DUMPER, "--freeze", "/scratch/whole.core"];
    vm.run(&argv)?.exited(1)?;
    moves(vm, "after a refusal")?;
    ticking.signal(9)?;
    ticking.wait()?;
    volatile_pages_come_first(&target)?;
    target.end()
}

/// What ends a unit for good, SIGKILL to all that is in its control group, does not reach
/// the watchdog.
fn killed_with_its_group(target: &TargetMachine, slow: &[&str]) -> Result<()> {
    const GROUP: &str = "/sys/fs/cgroup/unit";
    let vm = &target.vm;
    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    let argv = [
        &["probe", "in-group", "unit", DUMPER],
        slow,
        &["/scratch/unit.core"],
    ]
    .concat();
    let run = vm.command(&argv).start()?;
    stands_still(vm)?;
    let watchdog = watchdog_of(vm, run.pid())?;
    let inside = vm.kernel_file(&format!("{GROUP}/cgroup.procs"))?;
    ensure!(
        inside.trim() == run.pid().to_string(),
        "in the group are {inside}, and the watchdog is {watchdog}"
    );
    vm.write(&format!("{GROUP}/cgroup.kill"), "1")?;
    let ended = run.wait()?.ended;
    ensure!(ended.signal == Some(9), "it was not killed: {ended:?}");
    moves(vm, "after its group was killed")
}

/// The process that watches over the one with this id: its only child, which has left its
/// session and its control group.
fn watchdog_of(vm: &Vm, pid: i32) -> Result<i32> {
    let children = vm.kernel_file(&format!("/proc/{pid}/task/{pid}/children"))?;
    let child = children.trim().parse().context("not one child")?;
    let stat = vm.kernel_file(&format!("/proc/{child}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no fields")?;
    let session = fields.split(' ').nth(3).context("no session")?;
    ensure!(session == format!("{child}"), "its session is {session}");
    let group = vm.kernel_file(&format!("/proc/{child}/cgroup"))?;
    ensure!(group.trim() == "0::/", "its control group is {group}");
    Ok(child)
}

/// `--order volatile-first` and `--second-pass`, in the same machine.
fn volatile_pages_come_first(target: &TargetMachine) -> Result<()> {
    let args = [
        "--order",
        "volatile-first",
        "--second-pass",
        "--no-artifacts",
    ];
    let done = target.dump(&args, "first.core")?.exited(0)?;
    let said = done.text();
    ensure!(!said.contains("not read first"), "{said}");
    contains(&said, &["before the second pass"])?;
    let image = target.pull("first.core")?;
    let manifest = json(&companion(&image, "manifest.jsonl"))?;
    let first = at(&manifest, "/read_first");
    let bytes = at(first, "/bytes").as_u64().context("read_first")?;
    ensure!((1 << 20..=64 << 20).contains(&bytes), "{bytes} bytes");

    // They include the kernel's data, from its first page on.
    let iomem = target.vm.iomem()?;
    let line = iomem
        .lines()
        .find(|line| line.ends_with(": Kernel data"))
        .context("no kernel data")?;
    let start = line.trim().split('-').next().unwrap_or_default();
    let start = u64::from_str_radix(start, 16)? & !0xfff;
    let ranges = at(first, "/ranges").as_array().context("ranges")?;
    let holds = |range: &Value| -> Option<bool> {
        let address = |index: usize| {
            let text = range.get(index)?.as_str()?.strip_prefix("0x")?;
            u64::from_str_radix(text, 16).ok()
        };
        Some((address(0)?..=address(1)?).contains(&start))
    };
    ensure!(
        ranges.iter().any(|range| holds(range) == Some(true)),
        "{start:#x} is not in {first}"
    );

    // They were read before everything else.
    let micros = |value: &Value, name| at(value, name).as_u64().context("read_us");
    let read = micros(first, "/read_us/0")? + micros(first, "/read_us/1")?;
    let begin = micros(&manifest, "/ranges/0/read_us/0")?;
    ensure!(begin >= read, "not first");

    let totals = at(&manifest, "/second_pass_end");
    let (pages, changed) = (
        at(totals, "/pages").as_u64(),
        at(totals, "/changed_pages").as_u64(),
    );
    let (pages, changed) = pages.zip(changed).context("second_pass")?;
    ensure!(at(totals, "/error").is_null(), "{totals}");
    // An idle kernel changes some pages, but not many.
    ensure!(changed > 0 && changed < pages / 2, "{changed} of {pages}");
    println!("{changed} of {pages} pages changed; {bytes} bytes were read first");
    Ok(())
}

fn count(vm: &Vm) -> Result<u64> {
    Ok(String::from_utf8(vm.read(COUNT)?)?.trim().parse()?)
}

/// Waits until the count has not changed for half a second.
fn stands_still(vm: &Vm) -> Result<()> {
    let mut last = count(vm)?;
    wait::until("the program is frozen", || {
        thread::sleep(Duration::from_millis(500));
        let now = count(vm)?;
        let is_still = now == last;
        last = now;
        Ok(is_still.then_some(()))
    })
}

fn moves(vm: &Vm, when: &str) -> Result<()> {
    let first = count(vm)?;
    wait::until(&format!("the program runs {when}"), || {
        Ok((count(vm)? > first).then_some(()))
    })
}
