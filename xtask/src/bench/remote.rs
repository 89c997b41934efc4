// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions that go to a receiver, compared with the disk of the same virtual machine and with
//! `cat | nc`.

use super::dump::{FILLED_PERCENT, TIMEOUT, acquire, mib};
use super::{Report, Setting};
use crate::prepare;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::receiver::Receiver;
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{GuestCommand, Output, Vm, from_guest};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Memory of the machine, in MiB.
const MEMORY_MIB: u32 = 1024;

/// A key that nobody needs: what is encrypted to it is removed at once.
pub(super) const PUBLIC: &str = "age1sfznr2ewss302evn5jqwqzfzzkp6e7vf3ylqzrarcwafwt0zm94shaaapf";

/// The machine's own disk, which also has what `cat` reads.
const IMAGE: &str = "/scratch/image";

/// Where a run sends or writes the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    Disk,
    Nc,
    Receiver,
    EncryptedDisk,
    EncryptedReceiver,
}

/// In turns, so that the machine's condition is the same for all. The first leaves what `cat`
/// reads.
const JOBS: [Job; 5] = [
    Job::Disk,
    Job::Nc,
    Job::Receiver,
    Job::EncryptedDisk,
    Job::EncryptedReceiver,
];

/// What is compared with what.
const PAIRS: [(Job, Job); 5] = [
    (Job::Receiver, Job::Disk),
    (Job::Receiver, Job::Nc),
    (Job::Disk, Job::Nc),
    (Job::EncryptedDisk, Job::Disk),
    (Job::EncryptedReceiver, Job::Receiver),
];

/// What a run took; of several, the least of each.
#[derive(Clone, Copy, Debug)]
struct Taken {
    seconds: f64,
    /// From the first page to the last, where memory is read.
    window: Option<f64>,
    /// Of the program, in user space and in the kernel.
    processor: f64,
    peak_rss_mib: f64,
    sent_mib: f64,
}

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let (kernel, artifacts) = prepare::machines()?;
    let machine = Vm::builder(&kernel)
        .memory_mib(MEMORY_MIB)
        .network()
        .timeout(TIMEOUT);
    let target = TargetMachine::boot(machine, &artifacts)?;
    target.vm.connect()?;
    eprintln!("[bench] remote: {}", target.fill(FILLED_PERCENT)?);
    let mut best: BTreeMap<Job, Taken> = BTreeMap::new();
    for _ in 0..setting.rounds {
        for job in JOBS {
            let folder = tempfile::tempdir().context("a folder for images")?;
            let taken = job.run(&target.vm, &artifacts.dumper, folder.path())?;
            eprintln!("[bench] remote: {}: {taken}", job.name());
            best.entry(job)
                .and_modify(|best| *best = best.least(taken))
                .or_insert(taken);
        }
    }
    for (ours, theirs) in PAIRS {
        if let (Some(one), Some(other)) = (best.get(&ours), best.get(&theirs)) {
            let what = format!("remote: {} to {}", ours.name(), theirs.name());
            one.compare(*other, &what, report);
        }
    }
    target.end()
}

impl Job {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Nc => "cat | nc",
            Self::Receiver => "receiver",
            Self::EncryptedDisk => "disk, encrypted",
            Self::EncryptedReceiver => "receiver, encrypted",
        }
    }

    pub(super) const fn is_encrypted(self) -> bool {
        matches!(self, Self::EncryptedDisk | Self::EncryptedReceiver)
    }

    /// Whether a receiver takes it.
    pub(super) const fn is_sent(self) -> bool {
        matches!(self, Self::Receiver | Self::EncryptedReceiver)
    }

    /// One run; what it sends arrives in `folder`.
    fn run(self, vm: &Vm, dumper: &Path, folder: &Path) -> Result<Taken> {
        let common = ["linpmem-dump", "--format", "lime", "--json"];
        let common = [&common[..], &["--progress", "none", "--force"]].concat();
        let encrypt = ["--encrypt-to", PUBLIC];
        match self {
            Self::Disk => {
                let output = acquire(vm, &[&common[..], &[IMAGE]].concat())?;
                Taken::of(&output)
            }
            Self::EncryptedDisk => {
                let name = "/scratch/encrypted";
                let output = acquire(vm, &[&common[..], &encrypt, &[name]].concat())?;
                Taken::of(&output)
            }
            Self::Nc => nc(vm, folder),
            Self::Receiver | Self::EncryptedReceiver => {
                let receiver = Receiver::start(dumper, folder, "127.0.0.1:0", &[])?;
                let encrypt = match self.is_encrypted() {
                    true => &encrypt[..],
                    false => &[],
                };
                let words: Vec<&str> = common
                    .iter()
                    .copied()
                    .filter(|word| *word != "--force")
                    .chain(encrypt.iter().copied())
                    .collect();
                let run = vm.command(&words).env("LINPMEM_TO", &receiver.to());
                let output = done(run)?;
                receiver.image()?;
                Taken::of(&output)
            }
        }
    }
}

/// The image on the machine's disk, read from its cache, to a file on this side.
fn nc(vm: &Vm, folder: &Path) -> Result<Taken> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let place = from_guest(listener.local_addr()?).replace(':', " ");
    let path = folder.join("image");
    let taking = thread::spawn(move || -> io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        let mut file = File::create(path)?;
        let bytes = io::copy(&mut stream, &mut file)?;
        file.sync_all()?;
        Ok(bytes)
    });
    let line = format!("busybox cat {IMAGE} | busybox nc {place}");
    let output = done(vm.command(&["busybox", "sh", "-c", &line]))?;
    let bytes = taking
        .join()
        .map_err(|_| io::Error::other("the receiving thread panicked"))??;
    let ended = output.ended;
    Ok(Taken {
        seconds: seconds(ended.wall_ms),
        window: None,
        processor: seconds(ended.user_ms + ended.system_ms),
        peak_rss_mib: mib(ended.max_rss_kib << 10),
        sent_mib: mib(bytes),
    })
}

fn done(run: GuestCommand<'_>) -> Result<Output> {
    let output = run.timeout(TIMEOUT).run()?;
    let is_done = output.success() || output.ended.code == Some(3);
    ensure!(is_done, "{output}\n{}", output.text());
    Ok(output)
}

impl Taken {
    /// From the summary of an acquisition.
    fn of(output: &Output) -> Result<Self> {
        let text = String::from_utf8_lossy(&output.stderr);
        let summary = text.lines().rfind(|line| line.starts_with('{'));
        let summary = summary.with_context(|| format!("no summary in {text}"))?;
        let summary: serde_json::Value = serde_json::from_str(summary)?;
        let number = |name: &str| {
            let found = summary.get(name).and_then(serde_json::Value::as_f64);
            found.with_context(|| format!("no {name} in {summary}"))
        };
        let ended = output.ended;
        Ok(Self {
            seconds: seconds(ended.wall_ms),
            window: Some(number("read_seconds")?),
            processor: seconds(ended.user_ms + ended.system_ms),
            peak_rss_mib: mib(ended.max_rss_kib << 10),
            sent_mib: number("file_bytes")? / f64::from(1 << 20),
        })
    }

    fn least(self, other: Self) -> Self {
        Self {
            seconds: self.seconds.min(other.seconds),
            window: match (self.window, other.window) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
            processor: self.processor.min(other.processor),
            // Whoever looks for a bound wants to know the worst.
            peak_rss_mib: self.peak_rss_mib.max(other.peak_rss_mib),
            sent_mib: self.sent_mib,
        }
    }

    /// Bytes in the time until everything was done.
    fn rate(self) -> f64 {
        self.sent_mib / self.seconds
    }

    fn compare(self, other: Self, what: &str, report: &mut Report) {
        let mut add = |name, ours, unit, theirs| {
            report.add(&format!("{what}: {name}"), ours, unit, Some(theirs));
        };
        if let (Some(ours), Some(theirs)) = (self.window, other.window) {
            add("window", ours, "s", theirs);
        }
        add("time", self.seconds, "s", other.seconds);
        add("rate", self.rate(), "MiB/s", other.rate());
        let gib = |taken: Self| taken.processor * 1024.0 / taken.sent_mib;
        add("processor", gib(self), "s/GiB", gib(other));
        add("peak RSS", self.peak_rss_mib, "MiB", other.peak_rss_mib);
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s, {:.1} MiB/s", self.seconds, self.rate())?;
        if let Some(window) = self.window {
            write!(f, ", window {window:.2} s")?;
        }
        write!(
            f,
            ", {:.2} s of processors, {:.1} MiB peak RSS",
            self.processor, self.peak_rss_mib
        )
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
