// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of two machines, in every format that others open, taken while the machines
//! ran: each of the others' programs finds its way in them. The outcome is
//! `docs/consumers.md`.

mod judges;
mod rows;
mod symbols;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use xtask::acquisition::Subject;
use xtask::artifacts::Artifacts;
use xtask::cache::Cache;
use xtask::consumers::Consumers;
use xtask::kernel::Kernel;
use xtask::matrix;
use xtask::processes::{self, Process};
use xtask::vm::{Vm, VmBuilder};
use xtask::volatility::Volatility;

use rows::{ROWS, Row, TOOLS, Tool};

const TOKEN: &str = "70c9ba51-planted-for-all-consumers";
const NAME: &str = "suspicious";
const SYMBOL_FILE: &str = "made.isf.json.xz";

/// What a program found in the image of a row.
type Cells = BTreeMap<(&'static str, Tool), &'static str>;

/// An image, and what is known of the machine that it is of.
struct Case {
    kernel: Kernel,
    dumper: PathBuf,
    consumers: Consumers,
    volatility: Volatility,
    /// Where all images lie; the ELF core is [`rows::ELF`].
    folder: PathBuf,
    /// Where the symbol file lies, and nothing else.
    symbols: PathBuf,
    planted: u64,
    /// Where the token lies in the planted process.
    address: String,
    kaslr_offset: u64,
    /// Processes that were there before and after, and all that were there once.
    steady: BTreeSet<Process>,
    seen: BTreeSet<Process>,
    modules: BTreeSet<String>,
}

/// Volatility 3 knows 4 levels of page tables only.
fn shaped(machine: VmBuilder) -> VmBuilder {
    machine
        .memory_mib(256)
        .cpu("max,la57=off")
        .module("virtio_balloon")
        .module("virtio_net")
}

#[test]
fn stable_kernel_through_kcore() -> Result<()> {
    let kernel = matrix::of_consumers(&Cache::open()?)?;
    let vm = shaped(Vm::builder(&kernel)).boot()?;
    let subject = Subject::with_dumper(vm, &Artifacts::dumper()?)?;
    judged(subject, "kcore")
}

#[test]
fn newest_kernel_through_the_module() -> Result<()> {
    judged(crate::subject(shaped)?, "linpmem")
}

/// kdumpid takes the first such words that it finds in memory for the banner, and the
/// dumper is in memory while it acquires.
#[test]
fn the_dumper_is_not_taken_for_a_kernel() -> Result<()> {
    let program = fs::read(Artifacts::dumper()?)?;
    let words = b"Linux version ";
    ensure!(
        !program.windows(words.len()).any(|part| part == words),
        "the program has a kernel's banner in it"
    );
    Ok(())
}

/// Acquires the machine as it runs, has all programs judge the images, and compares
/// what they say with the documentation.
fn judged(subject: Subject, source: &'static str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let subject = subject.images_in(folder.path());
    let case = Case::acquire(&subject, source, folder.path())?;
    subject.end()?;
    case.make_symbols()?;
    symbols::compare(&case)?;
    for row in ROWS {
        case.make(row)?;
    }
    let (slow, quick): (Vec<Tool>, Vec<Tool>) =
        TOOLS.iter().partition(|tool| **tool == Tool::Volatility);
    let (slow, quick) = thread::scope(|scope| {
        let slow = scope.spawn(|| case.cells(&slow));
        let quick = case.cells(&quick);
        (slow.join(), quick)
    });
    let mut cells = slow.map_err(|_| anyhow!("a judge panicked"))??;
    cells.extend(quick?);
    table::compare(source, &cells)
}

impl Case {
    fn acquire(subject: &Subject, source: &str, folder: &Path) -> Result<Self> {
        let (process, said) = subject.plant(NAME, TOKEN)?;
        let address = said.rsplit(' ').next().context("no address")?.to_owned();
        let before = processes::processes(&subject.vm)?;
        let ended = subject.dump(&["--source", source], rows::ELF)?;
        println!("{}", ended.text());
        // 3: the direct map lacks pages that are RAM only in part.
        ensure!(matches!(ended.ended.code, Some(0 | 3)), "{ended}");
        let after = processes::processes(&subject.vm)?;
        let image = subject.pull(rows::ELF)?;
        let planted = before.iter().find(|(_, name)| name == NAME);
        let planted = planted.context("ps does not know the planted process")?.0;
        let modules = processes::modules(&subject.vm)?;
        drop(process);
        let opened = linpmem_formats::open_image(&image)?;
        let offset = opened.machine().vmcoreinfo_value("KERNELOFFSET");
        let symbols = folder.join("symbols");
        fs::create_dir(&symbols)?;
        Ok(Self {
            kernel: subject.vm.kernel().clone(),
            dumper: Artifacts::dumper()?,
            consumers: Consumers::open()?,
            volatility: Volatility::open()?,
            kaslr_offset: u64::from_str_radix(offset.context("no KERNELOFFSET")?, 16)?,
            symbols,
            folder: folder.to_path_buf(),
            planted,
            address,
            steady: before.intersection(&after).cloned().collect(),
            seen: before.union(&after).cloned().collect(),
            modules,
        })
    }

    /// Whether it is the one that our module was made for.
    fn is_newest(&self) -> bool {
        self.kernel.has_rust()
    }

    fn path(&self, row: &Row) -> PathBuf {
        self.folder.join(row.file)
    }

    /// Makes the symbol file of what the image itself tells, on this machine.
    fn make_symbols(&self) -> Result<()> {
        let file = self.symbols.join(SYMBOL_FILE);
        let said = self.run(&["symbols"], &[&self.folder.join(rows::ELF)], |command| {
            command.arg("-o").arg(&file)
        })?;
        println!("{said}");
        Ok(())
    }

    /// Makes the image of `row` of the ELF core.
    fn make(&self, row: &Row) -> Result<()> {
        let path = self.path(row);
        match row.file {
            rows::ELF => return Ok(()),
            rows::REARRANGED => {
                let stream = self.folder.join(rows::ZLIB);
                return self.consumers.rearrange(&stream, &path);
            }
            _ => {}
        }
        let words = [&["convert", "--progress", "none"], row.words].concat();
        let core = self.folder.join(rows::ELF);
        let mut paths: Vec<&Path> = vec![&core, &path];
        let noise = self.folder.join("noise");
        if row.file == rows::ARTIFACTS {
            let mut random = fs::File::open("/dev/urandom")?.take(25 << 20);
            io::copy(&mut random, &mut fs::File::create(&noise)?)?;
            paths.insert(0, &noise);
        }
        let said = self.run(&words, &paths, |command| command)?;
        if row.file == rows::PADDED {
            let printed = said.split("crash --").nth(1).context("no command")?;
            let line = printed.lines().next().unwrap_or_default();
            fs::write(self.folder.join(rows::COMMAND), format!("--{line}"))?;
        }
        Ok(())
    }

    fn run(
        &self,
        words: &[&str],
        paths: &[&Path],
        more: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<String> {
        let mut command = Command::new(&self.dumper);
        command.args(words).args(paths).stdin(Stdio::null());
        let output = more(&mut command).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        // 3: the pages that could not be read are told of once more.
        let code = output.status.code();
        ensure!(matches!(code, Some(0 | 3)), "{words:?}: {said}");
        Ok(said)
    }

    /// What these programs find in the images that they read, by row.
    fn cells(&self, tools: &[Tool]) -> Result<Cells> {
        let mut cells = Cells::new();
        for row in ROWS {
            for &tool in tools
                .iter()
                .filter(|tool| row.is_for(**tool, self.is_newest()))
            {
                let started = Instant::now();
                let found = judges::judge(self, tool, row);
                let found = found.with_context(|| format!("{tool} on {}", row.about))?;
                let seconds = started.elapsed().as_secs_f64();
                println!("{tool} on {}: {found} ({seconds:.1} s)", row.about);
                cells.insert((row.about, tool), found);
            }
        }
        Ok(cells)
    }
}
