// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of two running machines, in every format that other people's programs open:
//! each program can navigate them. The results are in `docs/consumers.md`.

mod agreement;
mod readers;
mod rows;
mod symbols;
mod table;

use crate::host_dumper;
use crate::inspected::shown::{self, Guest};
use crate::machines;
use anyhow::{Context, Result, anyhow, ensure};
use linpmem_testkit::artifacts;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::consumers::dump_tools::DumpTools;
use linpmem_testkit::consumers::volatility::Volatility;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::processes::{self, Process};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Vm, VmBuilder};
use rows::{ROWS, Row, TOOLS, Tool};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

const TOKEN: &str = "70c9ba51-planted-for-all-consumers";
const NAME: &str = "suspicious";
const SYMBOL_FILE: &str = "made.isf.json.xz";

/// The findings of each program in the image of each row.
type Cells = BTreeMap<(&'static str, Tool), &'static str>;

/// An image, and what is known about its machine.
struct Case {
    kernel: Kernel,
    dumper: PathBuf,
    dump_tools: DumpTools,
    volatility: Volatility,
    /// The folder with all images; the ELF core is [`rows::ELF`].
    folder: PathBuf,
    /// The folder with the symbol file, and nothing else.
    symbols: PathBuf,
    planted: u64,
    /// The address of the token in the planted process.
    address: String,
    kaslr_offset: u64,
    guest: Guest,
    /// Processes that existed before and after the acquisition, and those that existed
    /// before or after.
    steady: BTreeSet<Process>,
    seen: BTreeSet<Process>,
    modules: BTreeSet<String>,
}

/// Volatility 3 only supports 4 levels of page tables.
fn configured(machine: VmBuilder) -> VmBuilder {
    machine
        .memory_mib(256)
        .cpu("max,la57=off")
        .module("virtio_balloon")
        .module("virtio_net")
}

#[test]
fn stable_kernel_through_kcore() -> Result<()> {
    let kernel = Kernel::of_package(&Cache::open()?, &KernelPackage::stable())?;
    let vm = configured(Vm::builder(&kernel)).boot()?;
    let target = TargetMachine::with_dumper(vm, &artifacts::dumper()?)?;
    examined(target, "kcore")
}

#[test]
fn newest_kernel_through_the_module() -> Result<()> {
    examined(machines::target(configured)?, "linpmem")
}

/// kdumpid takes the first such text in memory for the kernel's banner, and the dumper is
/// in memory while it acquires.
#[test]
fn the_dumper_is_not_mistaken_for_a_kernel() -> Result<()> {
    let program = fs::read(artifacts::dumper()?)?;
    let banner = b"Linux version ";
    ensure!(
        !program.windows(banner.len()).any(|part| part == banner),
        "the program contains the start of a kernel's banner"
    );
    Ok(())
}

/// Acquires the running machine, has all programs examine the images, and compares their
/// findings with the documentation.
fn examined(target: TargetMachine, source: &'static str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let target = target.images_in(folder.path());
    let case = Case::acquire(&target, source, folder.path())?;
    target.end()?;
    is_shown_as_it_was(&case)?;
    case.make_symbols()?;
    symbols::compare(&case)?;
    agreement::compare(&case)?;
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
    let mut cells = slow.map_err(|_| anyhow!("a thread panicked"))??;
    cells.extend(quick?);
    table::compare(source, &cells)
}

/// Our own commands, on the image and on what is made of it.
fn is_shown_as_it_was(case: &Case) -> Result<()> {
    let image = case.folder.join(rows::ELF);
    shown::compare(&image, &case.guest)?;
    let (code, document) = shown::json("check", &image, &[])?;
    ensure!(
        code == Some(0) && *shown::at(&document, "/verdict") == "analysable",
        "exit code {code:?}: {document:#}"
    );
    println!("check: {}", shown::at(&document, "/summary"));
    for name in ["same.aff4", "same.kdump", "same.core.zst"] {
        let other = case.folder.join(name);
        host_dumper::converts(&image, &other)?;
        for command in ["check", "ps", "maps", "modules", "dmesg"] {
            let [mut one, mut another] = [
                shown::json(command, &image, &[])?.1,
                shown::json(command, &other, &[])?.1,
            ];
            for document in [&mut one, &mut another] {
                let document = document.as_object_mut().context("no object")?;
                document.remove("image");
            }
            ensure!(one == another, "{command} of {name} is another");
        }
        fs::remove_file(&other)?;
    }
    Ok(())
}

impl Case {
    fn acquire(target: &TargetMachine, source: &str, folder: &Path) -> Result<Self> {
        let (process, said) = target.plant(NAME, TOKEN)?;
        let address = said.rsplit(' ').next().context("no address")?.to_owned();
        let number = said.split(' ').nth(2).context("no number")?.parse()?;
        // Files and sockets of many kinds.
        let mut open = target.vm.command(&["open"]).start()?;
        println!("{}", open.wait_for("opened ")?);
        let mut guest = Guest::before(&target.vm, number)?;
        let before = processes::processes(&target.vm)?;
        let ended = target.dump(&["--source", source], rows::ELF)?;
        println!("{}", ended.text());
        ended.exited(0)?;
        let after = processes::processes(&target.vm)?;
        guest.after(&target.vm)?;
        let image = target.pull(rows::ELF)?;
        let planted = before.iter().find(|(_, name)| name == NAME);
        let planted = planted.context("ps does not list the planted process")?.0;
        let modules = processes::modules(&target.vm)?;
        drop((process, open));
        let opened = linpmem_formats::open_image(&image)?;
        let offset = opened.machine().vmcoreinfo_value("KERNELOFFSET");
        let symbols = folder.join("symbols");
        fs::create_dir(&symbols)?;
        Ok(Self {
            kernel: target.vm.kernel().clone(),
            dumper: artifacts::dumper()?,
            dump_tools: DumpTools::open()?,
            volatility: Volatility::open()?,
            kaslr_offset: u64::from_str_radix(offset.context("no KERNELOFFSET")?, 16)?,
            symbols,
            folder: folder.to_path_buf(),
            planted,
            address,
            guest,
            steady: before.intersection(&after).cloned().collect(),
            seen: before.union(&after).cloned().collect(),
            modules,
        })
    }

    /// Whether it is the newest kernel, which our module is built for.
    fn is_newest(&self) -> bool {
        self.kernel.has_rust()
    }

    fn path(&self, row: &Row) -> PathBuf {
        self.folder.join(row.file)
    }

    /// Makes the symbol file on the host, from what is in the image.
    fn make_symbols(&self) -> Result<()> {
        let file = self.symbols.join(SYMBOL_FILE);
        let said = self.run(&["symbols"], &[&self.folder.join(rows::ELF)], |command| {
            command.arg("-o").arg(&file)
        })?;
        println!("{said}");
        Ok(())
    }

    /// Makes the image of `row` from the ELF core.
    fn make(&self, row: &Row) -> Result<()> {
        let path = self.path(row);
        match row.file {
            rows::ELF => return Ok(()),
            rows::REARRANGED => {
                let stream = self.folder.join(rows::ZLIB);
                return self.dump_tools.rearrange(&stream, &path);
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
        // 3: the source has pages that could not be read.
        let code = output.status.code();
        ensure!(matches!(code, Some(0 | 3)), "{words:?}: {said}");
        Ok(said)
    }

    /// The findings of these programs in the images that they can open.
    fn cells(&self, tools: &[Tool]) -> Result<Cells> {
        let mut cells = Cells::new();
        for row in ROWS {
            for &tool in tools
                .iter()
                .filter(|tool| row.is_for(**tool, self.is_newest()))
            {
                let started = Instant::now();
                let found = readers::examine(self, tool, row);
                let found = found.with_context(|| format!("{tool} on {}", row.about))?;
                let seconds = started.elapsed().as_secs_f64();
                println!("{tool} on {}: {found} ({seconds:.1} s)", row.about);
                cells.insert((row.about, tool), found);
            }
        }
        Ok(cells)
    }
}
