// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies of an image that are damaged on purpose: each has its verdict, and no command
//! ends in any other way than it should.

use super::shown;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PAGE: u64 = 0x1000;
/// No command has more address space than this, in KiB.
const ADDRESS_SPACE_KIB: u64 = 512 << 10;
/// Nor takes as long, on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

/// A copy of an ELF core, and where its memory is.
struct Copy {
    path: PathBuf,
    file: File,
    /// Offset and bytes of each segment.
    segments: Vec<(u64, u64)>,
}

impl Copy {
    fn of(image: &Path, folder: &Path) -> Result<Self> {
        let path = folder.join("damaged.core");
        fs::copy(image, &path)?;
        let file = File::options().read(true).write(true).open(&path)?;
        let opened = linpmem_formats::open_image(&path)?;
        let stored = opened.ranges().iter();
        let segments: Vec<(u64, u64)> = stored
            .filter_map(|one| Some((one.offset?, one.range.len().get())))
            .collect();
        ensure!(!segments.is_empty(), "no memory in {}", path.display());
        Ok(Self {
            path,
            file,
            segments,
        })
    }

    fn pages(&self) -> u64 {
        self.segments.iter().map(|(_, len)| len / PAGE).sum()
    }

    /// Where the page `number` of all segments is in the file.
    fn offset(&self, number: u64) -> Option<u64> {
        let mut left = number;
        for &(offset, len) in &self.segments {
            if left < len / PAGE {
                return Some(offset + left * PAGE);
            }
            left -= len / PAGE;
        }
        None
    }

    /// Overwrites `count` pages, chosen by `random`, with what it gives or with zeros.
    fn overwrite(&self, count: u64, random: &mut Random, is_zero: bool) -> Result<()> {
        let pages = self.pages();
        for _ in 0..count {
            let mut page = [0; 0x1000];
            if !is_zero {
                for chunk in page.chunks_exact_mut(8) {
                    chunk.copy_from_slice(&random.next().to_le_bytes());
                }
            }
            let at = self.offset(random.next() % pages).context("no such page")?;
            self.file.write_all_at(&page, at)?;
        }
        Ok(())
    }
}

/// The same numbers in each run (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Damages copies of `image`, which is an ELF core, in `folder`.
pub fn each_damage_has_its_verdict(image: &Path, folder: &Path) -> Result<()> {
    for (about, seed) in [("every twentieth page zero", 1), ("the same, others", 2)] {
        let copy = Copy::of(image, folder)?;
        copy.overwrite(copy.pages() / 20, &mut Random(seed), true)?;
        is_not_called_analysable(about, &copy)?;
    }
    for seed in [3, 4] {
        let copy = Copy::of(image, folder)?;
        copy.overwrite(10_000, &mut Random(seed), false)?;
        is_not_called_analysable("10,000 pages overwritten", &copy)?;
    }
    let copy = Copy::of(image, folder)?;
    let moved = moved_kernel(&copy)?;
    let document = is_not_called_analysable("the kernel said to be elsewhere", &copy)?;
    ensure!(
        shown::at(&document, "/verdict") == "not-analysable",
        "{moved}: {document:#}"
    );
    fs::remove_file(&copy.path)?;
    Ok(())
}

/// Changes where VMCOREINFO places the kernel.
fn moved_kernel(copy: &Copy) -> Result<String> {
    let name = b"NUMBER(phys_base)=";
    let mut head = vec![0; 64 << 10];
    copy.file.read_exact_at(&mut head, 0)?;
    let at = head.windows(name.len()).position(|part| part == name);
    let at = at.context("no phys_base")? + name.len();
    let digits = head
        .get(at..at + 4)
        .context("a short line")?
        .iter()
        .map(|&byte| if byte == b'1' { b'2' } else { b'1' });
    let digits: Vec<u8> = digits.collect();
    copy.file.write_all_at(&digits, u64::try_from(at)?)?;
    Ok(String::from_utf8_lossy(&digits).into_owned())
}

/// `check` says that something is wrong, and no other command ends in an unforeseen way.
fn is_not_called_analysable(about: &str, copy: &Copy) -> Result<serde_json::Value> {
    let (code, document) = shown::json("check", &copy.path, &[])?;
    println!("{about}: {}", shown::at(&document, "/summary"));
    ensure!(
        matches!(code, Some(1 | 3)) && shown::at(&document, "/verdict") != "analysable",
        "{about}: exit code {code:?}: {document:#}"
    );
    for words in [
        &["check"][..],
        &["ps", "--threads"],
        &["maps"],
        &["modules"],
        &["dmesg"],
    ] {
        ends_well(about, words, &copy.path)?;
    }
    Ok(document)
}

/// The command ends soon, within its memory, with one of its exit codes and without a panic.
fn ends_well(about: &str, words: &[&str], image: &Path) -> Result<()> {
    let begin = Instant::now();
    let script = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec timeout 300 \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(artifacts::dumper()?)
        .args(words)
        .arg(image)
        .stdin(Stdio::null())
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        matches!(output.status.code(), Some(0 | 1 | 3)) && !stderr.contains("panicked"),
        "{about}: {words:?}: {}: {stderr}",
        output.status
    );
    ensure!(
        begin.elapsed() < LONGEST,
        "{about}: {words:?} took {:?}",
        begin.elapsed()
    );
    Ok(())
}
