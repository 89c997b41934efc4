// SPDX-License-Identifier: MIT OR Apache-2.0
//! The libraries' own benchmarks, built as releases are. Each prints a JSON object per
//! line: name, value and baseline.

use super::{Report, Setting};
use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::kernel::Kernel;
use serde::Deserialize;
use std::fs;
use std::process::{Command, Stdio};

/// A line of a benchmark's output.
#[derive(Deserialize)]
pub struct Line {
    /// What was measured.
    pub name: String,
    /// MiB/s.
    pub value: f64,
    /// MiB/s of what it is compared with, if the benchmark measures that too.
    pub baseline: Option<f64>,
}

/// What the benchmark `bench` of `package` measures.
pub fn measure(package: &str, bench: &str) -> Result<Vec<Line>> {
    lines(cargo_bench(package, bench))
}

fn lines(mut cargo: Command) -> Result<Vec<Line>> {
    let output = cargo.stderr(Stdio::inherit()).output();
    let output = output.context("cannot start cargo bench")?;
    ensure!(
        output.status.success(),
        "cargo bench failed ({})",
        output.status
    );
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("in {line}")))
        .collect()
}

/// AFF4 images written and read, compared with raw ones and with the codec alone.
pub fn aff4(_: &Setting, report: &mut Report) -> Result<()> {
    run("aff4", cargo_bench("linpmem-formats", "aff4"), report)
}

/// Reading stored images by pread, compared with memory maps.
pub fn read_at(report: &mut Report) -> Result<()> {
    run("convert", cargo_bench("linpmem-formats", "read_at"), report)
}

/// Symbol files of the default kernel, compared with its types and with xz alone.
pub fn symbols(_: &Setting, report: &mut Report) -> Result<()> {
    let kernel = Kernel::default(&Cache::open()?)?;
    let vmlinux = kernel.vmlinux();
    let bytes = fs::read(&vmlinux).with_context(|| format!("cannot read {}", vmlinux.display()))?;
    let btf = section(&bytes, ".BTF").with_context(|| format!("in {}", vmlinux.display()))?;
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), btf)?;
    let mut cargo = cargo_bench("linpmem-symbols", "isf");
    cargo.env("LINPMEM_BENCH_BTF", file.path());
    cargo.env("LINPMEM_BENCH_SYMBOLS", kernel.system_map());
    run("symbols", cargo, report)
}

fn cargo_bench(package: &str, bench: &str) -> Command {
    let mut cargo = checkout::cargo();
    cargo.args(["bench", "--quiet", "--locked"]);
    cargo.args(["--package", package, "--bench", bench]);
    cargo
}

fn run(name: &str, cargo: Command, report: &mut Report) -> Result<()> {
    for line in lines(cargo)? {
        let name = format!("{name}/{}", line.name);
        report.add(&name, line.value, "MiB/s", line.baseline);
    }
    Ok(())
}

fn section<'a>(bytes: &'a [u8], name: &str) -> Result<&'a [u8]> {
    let elf = Elf::parse(bytes)?;
    let header = elf
        .section_headers
        .iter()
        .find(|header| elf.shdr_strtab.get_at(header.sh_name) == Some(name))
        .with_context(|| format!("no section {name}"))?;
    let range = header.file_range().context("the section has no bytes")?;
    bytes.get(range).context("the section is cut off")
}
