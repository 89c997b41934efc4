// SPDX-License-Identifier: MIT OR Apache-2.0
//! What sending and encrypting take of real processors: memory from the page cache of this machine,
//! to its disk and to a receiver on it; with the processors shared by both sides, and with one for
//! each, as two machines have their own.

use super::memory::Memory;
use super::remote::{Job, PUBLIC};
use super::{Report, Setting, scratch};
use crate::dist;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::receiver::Receiver;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Begins at address 0.
const MEMORY: &str = "memory.padded";

/// What paces the senders: bbr does so by timers, which take a virtual machine's processor.
const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// In turns, so that the machine's condition is the same for all.
const RUNS: [Run; 6] = [
    (Job::Disk, Processors::All),
    (Job::Receiver, Processors::All),
    (Job::Disk, Processors::OneEach),
    (Job::Receiver, Processors::OneEach),
    (Job::EncryptedDisk, Processors::All),
    (Job::EncryptedReceiver, Processors::All),
];

/// The processors of the side that reads and of the receiver, where each has one.
const READER: u32 = 0;
const RECEIVER: u32 = 1;

/// Which processors a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Processors {
    /// All of them, for both sides.
    All,
    /// One for the side that reads, and another one for the receiver.
    OneEach,
}

/// A run: where the memory goes, and by which processors.
type Run = (Job, Processors);

/// What is compared with what.
const PAIRS: [(Run, Run); 4] = [
    (
        (Job::Receiver, Processors::All),
        (Job::Disk, Processors::All),
    ),
    (
        (Job::Receiver, Processors::OneEach),
        (Job::Disk, Processors::OneEach),
    ),
    (
        (Job::EncryptedDisk, Processors::All),
        (Job::Disk, Processors::All),
    ),
    (
        (Job::EncryptedReceiver, Processors::All),
        (Job::Receiver, Processors::All),
    ),
];

/// What a run took; of several, the least of each.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Seconds from the first page to the last.
    window: f64,
    /// Seconds of processors, in user space and in the kernel, of the program that reads.
    processor: f64,
}

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let [dumper, ..] = dist::build_programs()?;
    let folder = scratch()?;
    let memory = folder.path().join(MEMORY);
    make(&memory, setting.mib)?;
    eprintln!(
        "[bench] remote/host: TCP's congestion control is {}",
        fs::read_to_string(CONGESTION)?.trim()
    );
    let mut best: BTreeMap<Run, Taken> = BTreeMap::new();
    for _ in 0..setting.rounds {
        for run in RUNS {
            io::copy(&mut File::open(&memory)?, &mut io::sink())?;
            let taken = acquire(run, &dumper, &memory)?;
            eprintln!("[bench] remote/host: {}: {taken}", name(run));
            best.entry(run)
                .and_modify(|best| *best = best.least(taken))
                .or_insert(taken);
        }
    }
    let mib = f64::from(setting.mib);
    for (ours, theirs) in PAIRS {
        if let (Some(one), Some(other)) = (best.get(&ours), best.get(&theirs)) {
            let what = format!("remote/host: {} to {}", name(ours), name(theirs));
            let mut add = |name, ours, unit, theirs| {
                report.add(&format!("{what}: {name}"), ours, unit, Some(theirs));
            };
            add("window", one.window, "s", other.window);
            add("rate", mib / one.window, "MiB/s", mib / other.window);
            let gib = |taken: &Taken| taken.processor * 1024.0 / mib;
            add("processor", gib(one), "s/GiB", gib(other));
        }
    }
    Ok(())
}

fn make(path: &Path, mib: u32) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut memory = Memory::new()?;
    let mut piece = vec![0; 1 << 20];
    for _ in 0..mib {
        memory.next(&mut piece);
        file.write_all(&piece)?;
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(file.sync_all()?)
}

fn name((job, processors): Run) -> String {
    match processors {
        Processors::All => job.name().to_owned(),
        Processors::OneEach => format!("{}, one processor each", job.name()),
    }
}

/// One run.
fn acquire((job, processors): Run, dumper: &Path, memory: &Path) -> Result<Taken> {
    let folder = memory.parent().context("the folder of the memory")?;
    let folder = tempfile::tempdir_in(folder)?;
    let mut source = OsString::from("--source=file:");
    source.push(memory);
    let mut command = match processors {
        Processors::All => Command::new(dumper),
        Processors::OneEach => {
            let mut command = Command::new("taskset");
            command
                .args(["--cpu-list", &READER.to_string()])
                .arg(dumper);
            command
        }
    };
    command.arg(source).args([
        "--input-layout=padded",
        "--format=lime",
        "--no-artifacts",
        // A receiver's image has none from the machine that reads.
        "--no-file-hash",
        "--progress=none",
        "--json",
    ]);
    if job.is_encrypted() {
        command.args(["--encrypt-to", PUBLIC]);
    }
    if !job.is_sent() {
        return taken(command.arg(folder.path().join("image")));
    }
    let receiver = match processors {
        Processors::All => Receiver::start(dumper, folder.path(), "127.0.0.1:0", &[])?,
        Processors::OneEach => Receiver::on_processor(dumper, folder.path(), RECEIVER)?,
    };
    let taken = taken(command.env("LINPMEM_TO", receiver.to_here()))?;
    receiver.image()?;
    Ok(taken)
}

/// Runs `command`, an acquisition with `--json`.
fn taken(command: &mut Command) -> Result<Taken> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting an acquisition")?;
    let mut said = String::new();
    let stderr = child.stderr.take().context("no stderr")?;
    { stderr }.read_to_string(&mut said)?;
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("no process")?;
    // Its times can be read until it is waited for.
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    let processor = processor(&PathBuf::from(format!("/proc/{}/stat", child.id())))?;
    let ended = child.wait()?;
    ensure!(ended.success(), "{command:?} failed ({ended}): {said}");
    let summary = said.lines().rfind(|line| line.starts_with('{'));
    let summary: Value = serde_json::from_str(summary.context("no summary")?)?;
    let window = summary.get("read_seconds").and_then(Value::as_f64);
    Ok(Taken {
        window: window.with_context(|| format!("no read_seconds in {summary}"))?,
        processor,
    })
}

/// Seconds in user space and in the kernel, from a process's `stat` (proc(5)).
fn processor(stat: &Path) -> Result<f64> {
    let text = fs::read_to_string(stat)?;
    let fields = text.rsplit_once(')').context("no name in stat")?.1;
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| Ok(f64::from(field.parse::<u32>()?)))
        .sum::<Result<f64>>()?;
    Ok(ticks / f64::from(u32::try_from(clock_ticks_per_second())?))
}

impl Taken {
    fn least(self, other: Self) -> Self {
        Self {
            window: self.window.min(other.window),
            processor: self.processor.min(other.processor),
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "window {:.2} s, {:.2} s of processors",
            self.window, self.processor
        )
    }
}
