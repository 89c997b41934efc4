// SPDX-License-Identifier: MIT OR Apache-2.0
//! Conversions of very large memory, most of it never used: do they take time in proportion,
//! and the same memory whatever the size?
//!
//! Everything is in a tmpfs of its own, since no disk here has room for files of 16 TiB, even
//! if they are almost nothing but holes. Mounting it needs root.

use super::{Report, Setting, scratch};
use crate::dist;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Sizes of memory in GiB.
const SIZES: [u32; 3] = [64, 1 << 10, 16 << 10];
const RANGES: u64 = 1000;
/// The page at the beginning of each range; everything else is a hole.
const PAGE: [u8; 4096] = [7; 4096];
const GAP_BYTES: u64 = 1 << 20;
/// Memory and the images of it, all of them sparse.
const TMPFS: &str = "size=128T";

/// A mounted tmpfs, unmounted when it is dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn on(folder: &'a Path) -> Result<Self> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", TMPFS, "tmpfs"])
            .arg(folder)
            .status()
            .context("cannot start mount")?;
        ensure!(status.success(), "cannot mount a tmpfs: run this as root");
        Ok(Self(folder))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // If that fails, the folder stays behind, and its removal says so.
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// What a command took.
struct Taken {
    time: Duration,
    peak_kib: u32,
}

/// Sparse memory to an ELF core and to AFF4, and the core verified.
pub fn run(_: &Setting, report: &mut Report) -> Result<()> {
    let [dumper, ..] = dist::build_programs()?;
    let folder = scratch()?;
    let mounted = Mounted::on(folder.path())?;
    let mut base: Option<[f64; 3]> = None;
    for gib in SIZES {
        make(mounted.0, u64::from(gib))?;
        let convert = |name: &str| {
            let mut command = Command::new(&dumper);
            command.current_dir(mounted.0).args([
                "--source=file:memory.padded",
                "--input-layout=padded",
                "--input-ranges=ranges",
                "--progress=none",
                "--no-artifacts",
                "--no-file-hash",
                "--force",
                name,
            ]);
            taken(&mut command)
        };
        let core = convert("out.core")?;
        let mut verify = Command::new(&dumper);
        verify
            .current_dir(mounted.0)
            .args(["verify", "--progress=none", "out.core"]);
        let verified = taken(&mut verify)?;
        let aff4 = convert("out.aff4")?;
        let jobs = [
            ("to ELF", &core),
            ("verify ELF", &verified),
            ("to AFF4", &aff4),
        ];
        let seconds = [&core, &verified, &aff4].map(|job| job.time.as_secs_f64());
        let each = seconds.map(|seconds| seconds * 1e3 / f64::from(gib));
        let at_first = *base.get_or_insert(each);
        for (((name, job), each), first) in jobs.into_iter().zip(each).zip(at_first) {
            let name = format!("scale/{gib} GiB {name}");
            report.add(&name, each, "ms/GiB", Some(first));
            let peak = f64::from(job.peak_kib) / 1024.0;
            report.add(&format!("{name}: peak RSS"), peak, "MiB", Some(32.0));
        }
        for name in ["out.core", "out.aff4"] {
            let manifest = mounted
                .0
                .join(format!("{name}.manifest.jsonl"))
                .metadata()?;
            let kib = f64::from(u32::try_from(manifest.len())?) / 1024.0;
            report.add(
                &format!("scale/{gib} GiB {name}: manifest"),
                kib,
                "KiB",
                None,
            );
        }
    }
    Ok(())
}

/// A padded image of `gib` GiB, and the list of its ranges.
fn make(folder: &Path, gib: u64) -> Result<()> {
    let each = (gib << 30) / RANGES / 4096 * 4096;
    let mut list = String::new();
    let mut image = File::create(folder.join("memory.padded"))?;
    let mut start = GAP_BYTES;
    for _ in 0..RANGES {
        let end = start.checked_add(each).context("the last address")?;
        writeln!(list, "{start:x}-{:x} : System RAM", end.saturating_sub(1))?;
        image.seek(SeekFrom::Start(start))?;
        image.write_all(&PAGE)?;
        image.set_len(end)?;
        start = end.checked_add(GAP_BYTES).context("the last address")?;
    }
    fs::write(folder.join("ranges"), list)?;
    Ok(())
}

/// Runs `command` and looks at its memory all the time.
fn taken(command: &mut Command) -> Result<Taken> {
    let begun = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    };
    let time = begun.elapsed();
    ensure!(ended.success(), "{command:?} failed ({ended})");
    eprintln!(
        "[bench] {:.2} s, {} MiB: {command:?}",
        time.as_secs_f64(),
        peak_kib >> 10
    );
    Ok(Taken { time, peak_kib })
}
