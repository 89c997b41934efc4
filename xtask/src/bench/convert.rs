// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work on images on this machine, with the source in the page cache.

use super::cargo_bench;
use super::memory::Memory;
use super::{Report, Setting, scratch};
use crate::dist;
use anyhow::{Context, Result, ensure};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// In a padded raw image that begins at address 0, the memory is the whole file.
const RAW: &str = "memory.padded";
const LIME: &str = "memory.lime";

/// A folder for images, and the programs.
struct Bench {
    folder: TempDir,
    dumper: PathBuf,
    rounds: u32,
}

/// Conversions and verification, compared with the programs that people would use for
/// each part of the work.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let avml = setting.peers.avml()?;
    let [dumper, ..] = dist::build_programs()?;
    let bench = Bench {
        folder: scratch()?,
        dumper,
        rounds: setting.rounds,
    };
    bench.make(setting.mib)?;
    let mib = f64::from(setting.mib);
    let speed = |taken: Duration| mib / taken.as_secs_f64();

    let core = bench.path("out.core");
    let (plain, side) = bench.best_pair(
        || bench.convert(RAW, "out.core", &[]),
        || bench.side_by_side(),
    )?;
    let name = "convert/raw to ELF with hashes vs sha256sum and cp";
    report.add(name, speed(plain), "MiB/s", Some(speed(side)));

    let (verified, summed) = bench.best_pair(
        || bench.ours(&[OsStr::new("verify"), core.as_os_str()]),
        || run_timed(Command::new("sha256sum").arg(&core)),
    )?;
    let name = "convert/verify vs sha256sum";
    report.add(name, speed(verified), "MiB/s", Some(speed(summed)));
    fs::remove_file(&core)?;

    let packed = bench.path("theirs.zst");
    let zstd = || {
        let mut zstd = Command::new("zstd");
        let zstd = zstd.args(["-1", "-T2", "-q", "-f"]).arg(bench.path(RAW));
        run_timed(zstd.arg("-o").arg(&packed))
    };
    let options = ["--compress", "zstd:1", "--threads", "2"];
    let (ours, theirs) =
        bench.best_pair(|| bench.acquire(RAW, "out.padded.zst", &options), zstd)?;
    let name = "convert/--source to zstd:1 by 2 threads vs zstd -1 -T2";
    report.add(name, speed(ours), "MiB/s", Some(speed(theirs)));
    let (ours, theirs) =
        bench.best_pair(|| bench.convert(RAW, "out.padded.zst", &options), zstd)?;
    let name = "convert/to zstd:1 by 2 threads vs zstd -1 -T2";
    report.add(name, speed(ours), "MiB/s", Some(speed(theirs)));
    let sizes = [bench.path("out.padded.zst"), packed].map(|path| size_mib(&path));
    let [own, other] = sizes;
    report.add("convert/its size", own?, "MiB", Some(other?));

    let avml_image = bench.path("theirs.avml");
    for (codec, ending) in [
        ("zstd:1", "lime.zst"),
        ("lz4", "lime.lz4"),
        ("snappy", "lime.sz"),
    ] {
        let output = format!("out.{ending}");
        let (ours, theirs) = bench.best_pair(
            || bench.convert(LIME, &output, &["--compress", codec]),
            || {
                let mut command = Command::new(&avml);
                command.args(["convert", "--source-format", "lime"]);
                command.args(["--format", "lime_compressed"]);
                run_timed(command.arg(bench.path(LIME)).arg(&avml_image))
            },
        )?;
        let name = format!("convert/LiME to {codec} vs avml convert");
        report.add(&name, speed(ours), "MiB/s", Some(speed(theirs)));
        let [own, other] = [bench.path(&output), avml_image.clone()].map(|path| size_mib(&path));
        report.add("convert/its size", own?, "MiB", Some(other?));
    }
    cargo_bench::read_at(report)
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the same memory as a raw and as a LiME image.
    fn make(&self, mib: u32) -> Result<()> {
        let len = u64::from(mib) << 20;
        let mut raw = BufWriter::with_capacity(1 << 20, File::create(self.path(RAW))?);
        let mut lime = BufWriter::with_capacity(1 << 20, File::create(self.path(LIME))?);
        // LiME's header: magic, version, first and last address, 8 zero bytes.
        lime.write_all(&0x4c69_4d45_u32.to_le_bytes())?;
        lime.write_all(&1_u32.to_le_bytes())?;
        for number in [0, len.saturating_sub(1), 0] {
            lime.write_all(&number.to_le_bytes())?;
        }
        let mut memory = Memory::new()?;
        let mut piece = vec![0; 1 << 20];
        for _ in 0..mib {
            memory.next(&mut piece);
            raw.write_all(&piece)?;
            lime.write_all(&piece)?;
        }
        for file in [raw, lime] {
            file.into_inner()
                .map_err(|error| error.into_error())?
                .sync_all()?;
        }
        Ok(())
    }

    /// The best times of both, run in turns.
    fn best_pair(
        &self,
        ours: impl Fn() -> Result<Duration>,
        theirs: impl Fn() -> Result<Duration>,
    ) -> Result<(Duration, Duration)> {
        let mut best = (Duration::MAX, Duration::MAX);
        for _ in 0..self.rounds {
            best = (best.0.min(ours()?), best.1.min(theirs()?));
        }
        Ok(best)
    }

    fn ours(&self, words: &[&OsStr]) -> Result<Duration> {
        run_timed(Command::new(&self.dumper).args(words))
    }

    /// `convert`, which also hashes its source.
    fn convert(&self, from: &str, to: &str, options: &[&str]) -> Result<Duration> {
        let from = self.path(from);
        self.read(&from)?;
        self.run(&[OsStr::new("convert"), from.as_os_str()], to, options)
    }

    /// An acquisition from the same image, which does not hash it.
    fn acquire(&self, from: &str, to: &str, options: &[&str]) -> Result<Duration> {
        let from = self.path(from);
        self.read(&from)?;
        let mut source = OsString::from("file:");
        source.push(from);
        self.run(&[OsStr::new("--source"), &source], to, options)
    }

    fn run(&self, begin: &[&OsStr], to: &str, options: &[&str]) -> Result<Duration> {
        let to = self.path(to);
        let mut words = begin.to_vec();
        words.push(to.as_os_str());
        words.extend([OsStr::new("--force"), OsStr::new("--progress=none")]);
        words.extend(options.iter().map(OsStr::new));
        self.ours(&words)
    }

    /// Reads a file into the page cache.
    fn read(&self, path: &Path) -> Result<()> {
        io::copy(&mut File::open(path)?, &mut io::sink())?;
        Ok(())
    }

    /// sha256sum and cp in parallel; the slower one counts.
    fn side_by_side(&self) -> Result<Duration> {
        let (raw, copy) = (self.path(RAW), self.path("copy"));
        self.read(&raw)?;
        let taken = std::thread::scope(|scope| {
            let sum = scope.spawn(|| run_timed(Command::new("sha256sum").arg(&raw)));
            let copied = run_timed(Command::new("cp").arg(&raw).arg(&copy));
            let sum = sum
                .join()
                .map_err(|_| anyhow::anyhow!("the thread of sha256sum panicked"))?;
            anyhow::Ok(copied?.max(sum?))
        })?;
        fs::remove_file(&copy)?;
        Ok(taken)
    }
}

fn run_timed(command: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    let output = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let taken = begun.elapsed();
    ensure!(
        output.status.success(),
        "{command:?} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    eprintln!("[bench] {:.2} s: {command:?}", taken.as_secs_f64());
    Ok(taken)
}

fn size_mib(path: &Path) -> Result<f64> {
    let kib = path.metadata()?.len() >> 10;
    Ok(f64::from(u32::try_from(kib)?) / 1024.0)
}
