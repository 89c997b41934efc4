// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs, stopped and let go; the volatile first; a second look.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::acquisition::Subject;
use xtask::artifacts::DUMPER;
use xtask::vm::Vm;

use super::{at, beside};

const COUNT: &str = "/tmp/count";

#[test]
fn programs_stand_still_while_memory_is_read_and_go_on_however_it_ends() -> Result<()> {
    let subject = crate::subject(|machine| machine.memory_mib(256))?;
    let vm = &subject.vm;
    let mut ticking = vm.command(&["tick", "work/here", COUNT]).start()?;
    ticking.wait_for("ticking")?;
    moves(vm, "before")?;

    // To the end.
    let range = ["--range", "0x1000000+96MiB", "--no-artifacts"];
    let slow = [&["--freeze", "--rate", "16"][..], &range].concat();
    let mut run = subject.start(&slow, "whole.core")?;
    stands_still(vm)?;
    ensure!(!run.ends_within(Duration::ZERO)?, "it ended too soon");
    run.wait()?.exited(0)?;
    moves(vm, "after a whole run")?;
    let manifest = Manifest::parse(&vm.read("/scratch/whole.core.manifest.jsonl")?)?.json;
    ensure!(
        *at(&manifest, "/frozen") == serde_json::json!(["/sys/fs/cgroup/work"]),
        "{manifest}"
    );

    // SIGINT, and SIGKILL, which the program cannot answer itself.
    for (signal, name) in [(2, "cut.core"), (9, "killed.core")] {
        let run = subject.start(&slow, name)?;
        stands_still(vm)?;
        run.signal(signal)?;
        run.wait()?;
        moves(vm, name)?;
    }

    // A run that cannot begin stops nothing.
    let argv = [DUMPER, "--freeze", "/scratch/whole.core"];
    vm.run(&argv)?.exited(1)?;
    moves(vm, "after a refusal")?;
    ticking.signal(9)?;
    ticking.wait()?;
    the_volatile_comes_first(&subject)?;
    subject.end()
}

/// `--order volatile-first` and `--second-pass`, in the same machine.
fn the_volatile_comes_first(subject: &Subject) -> Result<()> {
    let args = [
        "--order",
        "volatile-first",
        "--second-pass",
        "--no-artifacts",
    ];
    let done = subject.dump(&args, "first.core")?.exited(0)?;
    let said = done.text();
    ensure!(!said.contains("not read first"), "{said}");
    ensure!(said.contains("until the second pass"), "{said}");
    let image = subject.pull("first.core")?;
    let manifest = super::json(&beside(&image, ".manifest.jsonl"))?;
    let first = at(&manifest, "/read_first");
    let bytes = at(first, "/bytes").as_u64().context("read_first")?;
    ensure!((1 << 20..=64 << 20).contains(&bytes), "{bytes} bytes");

    // The kernel's own data is among it, from its first page on.
    let iomem = subject.vm.iomem()?;
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

    // Before everything else.
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
    // A kernel at rest changes something, and not very much.
    ensure!(changed > 0 && changed < pages / 2, "{changed} of {pages}");
    println!("{changed} of {pages} pages changed; {bytes} bytes were read first");
    Ok(())
}

fn count(vm: &Vm) -> Result<u64> {
    Ok(String::from_utf8(vm.read(COUNT)?)?.trim().parse()?)
}

/// Waits until the count stands still for half a second.
fn stands_still(vm: &Vm) -> Result<()> {
    let begun = Instant::now();
    let mut last = count(vm)?;
    while begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(500));
        let now = count(vm)?;
        if now == last {
            return Ok(());
        }
        last = now;
    }
    anyhow::bail!("it goes on while memory is read")
}

fn moves(vm: &Vm, when: &str) -> Result<()> {
    let first = count(vm)?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(100));
        if count(vm)? > first {
            return Ok(());
        }
    }
    anyhow::bail!("it stands still {when}")
}
