// SPDX-License-Identifier: MIT OR Apache-2.0
//! One image of a machine, in every format that others open: each of their
//! programs finds its way in it. The outcome is `docs/consumers.md`.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use xtask::artifacts::Artifacts;
use xtask::checkout;
use xtask::consumers::Consumers;
use xtask::drgn::examine;
use xtask::kernel::Kernel;

const TOKEN: &str = "70c9ba51-planted-for-all-consumers";
const NAME: &str = "suspicious";

/// The programs, in the order of the table's columns.
const TOOLS: [&str; 5] = ["crash", "drgn", "gdb", "libkdumpfile", "makedumpfile"];

/// A row of the table: how the image is made of the ELF core, and who opens it.
struct Row {
    about: &'static str,
    file: &'static str,
    words: &'static [&'static str],
    tools: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        about: "ELF core",
        file: "elf.core",
        words: &[],
        tools: &TOOLS,
    },
    Row {
        about: "ELF core with 28 MiB of evidence",
        file: "evidence.core",
        words: &[],
        tools: &TOOLS,
    },
    Row {
        about: "kdump, zlib, flattened as we write it",
        file: "zlib.kdump",
        words: &[],
        tools: &["crash", "drgn", "libkdumpfile"],
    },
    Row {
        about: "kdump, Snappy, flattened as we write it",
        file: "snappy.kdump",
        words: &["--compress", "snappy"],
        tools: &["drgn", "libkdumpfile"],
    },
    Row {
        about: "kdump, zstd, flattened as we write it",
        file: "zstd.kdump",
        words: &["--compress", "zstd"],
        tools: &["drgn", "libkdumpfile"],
    },
    Row {
        about: "kdump, zlib, after `makedumpfile -R`",
        file: "rearranged",
        words: &[],
        tools: &["drgn", "libkdumpfile", "makedumpfile"],
    },
    Row {
        about: "raw, padded, with the command that is printed",
        file: "raw.padded",
        words: &[],
        tools: &["crash"],
    },
];

struct Case {
    consumers: Consumers,
    kernel: Kernel,
    folder: PathBuf,
    /// Where the token lies in the planted process.
    address: String,
    kaslr_offset: u64,
}

#[test]
fn every_consumer_finds_its_way_in_every_format_that_it_reads() -> Result<()> {
    let subject = crate::subject(|machine| machine.memory_mib(256))?;
    let (process, said) = subject.plant(NAME, TOKEN)?;
    let address = said.rsplit(' ').next().context("no address")?.to_owned();
    let acquired = subject.acquire(&[], "elf.core")?.complete()?;
    drop(process);
    let evidence = acquired.manifest.json.pointer("/evidence/place");
    ensure!(
        evidence.is_some_and(|place| place == "note"),
        "no evidence in the core: {evidence:?}"
    );
    let folder = acquired.image.parent().context("no folder")?.to_path_buf();
    let case = Case {
        consumers: Consumers::open()?,
        kernel: crate::kernel()?,
        kaslr_offset: kaslr_offset(&acquired.image)?,
        folder,
        address,
    };
    let mut table = String::new();
    for row in ROWS {
        let printed = case.make(row)?;
        let mut cells = Vec::new();
        for tool in TOOLS {
            if !row.tools.contains(&tool) {
                cells.push("");
                continue;
            }
            let found = case.judge(tool, row, &printed);
            let found = found.with_context(|| format!("{tool} on {}", row.about))?;
            println!("{tool} on {}: {found}", row.about);
            cells.push(found);
        }
        table.push_str(&format!("| {} | {} |\n", row.about, cells.join(" | ")));
    }
    compare(&case.kernel, &table)?;
    subject.end()
}

impl Case {
    fn path(&self, row: &Row) -> PathBuf {
        self.folder.join(row.file)
    }

    /// Makes the image of `row`; the command for crash that was printed.
    fn make(&self, row: &Row) -> Result<String> {
        let path = self.path(row);
        if row.file == "elf.core" {
            return Ok(String::new());
        }
        if row.file == "rearranged" {
            let stream = self.folder.join("zlib.kdump");
            self.consumers.rearrange(&stream, &path)?;
            return Ok(String::new());
        }
        let dumper = Artifacts::build(&self.kernel)?.dumper;
        let mut command = Command::new(dumper);
        command.args(["convert", "--progress", "none"]);
        if row.file == "evidence.core" {
            // With the kernel's own about as much as the note may have.
            let noise = self.folder.join("noise");
            let mut random = fs::File::open("/dev/urandom")?.take(25 << 20);
            io::copy(&mut random, &mut fs::File::create(&noise)?)?;
            command.arg("--bundle").arg("--add").arg(noise);
        }
        let output = command
            .args(row.words)
            .arg(self.folder.join("elf.core"))
            .arg(&path)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{}: {said}", row.file);
        let printed = said.split("crash --").nth(1).unwrap_or_default();
        Ok(printed.lines().next().unwrap_or_default().to_owned())
    }

    /// What `tool` found in the image of `row`, which must be right.
    fn judge(&self, tool: &str, row: &Row, printed: &str) -> Result<&'static str> {
        let image = self.path(row);
        let release = self.kernel.release();
        match tool {
            "crash" => {
                let shown = image.display().to_string();
                let said = if printed.is_empty() {
                    self.consumers.crash(&[], &self.kernel, &shown)?
                } else {
                    // `kaslr=… -m phys_base=… vmlinux IMAGE@0`
                    let line = format!("--{printed}");
                    let words: Vec<&str> = line.split(' ').collect();
                    let at = words.iter().position(|&word| word == "vmlinux");
                    let (options, names) = words.split_at(at.context("no vmlinux")?);
                    let image = names.get(1).context("no image")?;
                    self.consumers.crash(options, &self.kernel, image)?
                };
                has(&said, &[&format!("RELEASE: {release}"), NAME])?;
                Ok("release, planted process")
            }
            "drgn" => {
                let found = examine(&image, &self.kernel, NAME, TOKEN, &self.address)?;
                ensure!(found.release == release, "{found:?}");
                let [planted] = found.planted.as_slice() else {
                    anyhow::bail!("not one planted process: {found:?}");
                };
                ensure!(planted.token_in_memory, "{planted:?}");
                ensure!(
                    planted.cmdline.get(2).is_some_and(|word| word == TOKEN),
                    "{planted:?}"
                );
                Ok("release, planted process, its arguments and memory")
            }
            "gdb" => {
                let said = self
                    .consumers
                    .gdb(&self.kernel, &image, self.kaslr_offset)?;
                has(&said, &["\"swapper/0", &format!("\"{release}\"")])?;
                Ok("release, first task")
            }
            "libkdumpfile" => {
                let said = self.consumers.kdumpid(&image)?;
                has(&said, &["Arch: x86_64", &format!("Version: {release}")])?;
                // From the memory, through the page tables.
                has(&said, &[&format!("Banner: Linux version {release}")])?;
                Ok("release, banner")
            }
            _ => {
                let log = self.consumers.dmesg(&image)?;
                has(&log, &[&format!("Linux version {release}")])?;
                ensure!(log.lines().count() > 100, "{log}");
                Ok("kernel's log")
            }
        }
    }
}

fn has(said: &str, wanted: &[&str]) -> Result<()> {
    for text in wanted {
        ensure!(said.contains(text), "no `{text}` in: {said}");
    }
    Ok(())
}

fn kaslr_offset(image: &Path) -> Result<u64> {
    let image = linpmem_formats::open_image(image)?;
    let offset = image.machine().vmcoreinfo_value("KERNELOFFSET");
    Ok(u64::from_str_radix(offset.context("no KERNELOFFSET")?, 16)?)
}

/// Compares the table with the one in the documentation, or writes it there.
fn compare(kernel: &Kernel, table: &str) -> Result<()> {
    let path = checkout::dir().join("docs/consumers.md");
    let head = format!("| | {} |\n|---|---|---|---|---|---|\n", TOOLS.join(" | "));
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let (before, rest) = text.split_once("| | ").context("no table")?;
    let after = rest.split_once("|\n\n").map_or("", |(_, after)| after);
    if std::env::var_os("LINPMEM_BLESS").is_some_and(|value| value == "1") {
        println!("{}", kernel.release());
        fs::write(&path, format!("{before}{head}{table}\n{after}"))?;
        return Ok(());
    }
    ensure!(
        text.contains(&format!("{head}{table}")),
        "{} has another table; with LINPMEM_BLESS=1 the test writes it",
        path.display()
    );
    Ok(())
}
