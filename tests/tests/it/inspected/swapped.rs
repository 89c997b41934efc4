// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a process had in memory when the kernel had written it to swap, read from an image and the
//! areas that were kept beside it.

use super::shown::{self, at};
use crate::host_dumper;
use crate::machines;
use anyhow::{Context, Result, bail, ensure};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::VmBuilder;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PAGE: usize = 4096;
const PAGES: usize = 1500;
const NAME: &str = "outswapped";
/// Its size is that of no other area.
const FILE: &str = "/scratch/swap file";

fn with_zram(machine: VmBuilder) -> VmBuilder {
    machine.memory_mib(256).module("zram")
}

/// A process whose memory is in swap.
struct Swapped {
    pid: u64,
    start: u64,
}

impl Swapped {
    /// Of `swapped process PID has KIB KiB at START`.
    fn new(said: &str) -> Result<Self> {
        let words: Vec<&str> = said.split_whitespace().collect();
        let [_, _, pid, _, kib, _, _, start] = words[..] else {
            bail!("an unexpected line: {said}");
        };
        ensure!(kib.parse::<usize>()? == (PAGES + 1) * PAGE / 1024, "{said}");
        let start = start.strip_prefix("0x").context("no address")?;
        Ok(Self {
            pid: pid.parse()?,
            start: u64::from_str_radix(start, 16)?,
        })
    }
}

/// What the process wrote, and a page of zeros.
fn expected() -> Vec<u8> {
    let mut bytes = Vec::new();
    for page in 0..PAGES {
        for line in 0..PAGE / 32 {
            let text = format!("{NAME} {page:08} {line:03}");
            bytes.extend_from_slice(text.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(32), b'.');
        }
    }
    bytes.resize((PAGES + 1) * PAGE, 0);
    bytes
}

/// One image with what was kept of swap, in formats that keep it inside and beside, and one
/// without.
fn compare(target: TargetMachine, area: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let target = target.images_in(folder.path());
    let pages = PAGES.to_string();
    let argv = ["swapped", NAME, &pages, "--with", "words of its own"];
    let mut process = target.vm.command(&argv).start()?;
    let swapped = Swapped::new(&process.wait_for("swapped ")?)?;
    let dump = |args: &[&str], name: &str| -> Result<PathBuf> {
        let args = [&["--source", "linpmem"], args].concat();
        let ended = target.dump(&args, name)?;
        println!("{}", ended.text());
        ended.exited(0)?;
        target.pull(name)
    };
    let kept = dump(&["--add-swap"], "kept.core")?;
    let volume = dump(&["--add-swap"], "kept.aff4")?;
    let without = dump(&[], "without.core")?;
    drop(process);
    target.end()?;

    listed(&kept, area)?;
    for image in [&kept, &volume] {
        host_dumper::ok("verify", &[image])?;
        read_back(image, &swapped)?;
    }
    let lime = folder.path().join("converted.lime");
    host_dumper::converts(&kept, &lime)?;
    ensure!(
        folder
            .path()
            .join("converted.lime.artifacts.tar.zst")
            .is_file()
    );
    read_back(&lime, &swapped)?;
    not_read(&without, &swapped)
}

/// What is said of the area.
fn listed(image: &Path, area: &str) -> Result<()> {
    let output = image.with_extension("machine.json");
    host_dumper::ok("extract", &[&"--file", &"machine.json", &image, &output])?;
    let machine: Value = serde_json::from_slice(&fs::read(&output)?)?;
    let swaps = at(&machine, "/swaps").as_array().context("no swaps")?;
    let [swap] = &swaps[..] else {
        bail!("{swaps:?}");
    };
    println!("{swap:#}");
    ensure!(
        at(swap, "/name") == area
            && at(swap, "/artifact") == "swap/0"
            && *at(swap, "/unreadable") == json!([])
            && *at(swap, "/missing") == Value::Null,
        "{swap:#}"
    );
    let used = at(swap, "/used_bytes").as_u64().context("no number")?;
    ensure!(used >= u64::try_from(PAGES * PAGE)?, "{used}");
    // The header of an area, and as many bytes as it says.
    let extracted = image.with_extension("swap");
    host_dumper::ok("extract", &[&"--file", &"swap/0", &image, &extracted])?;
    let bytes = fs::read(&extracted)?;
    fs::remove_file(&extracted)?;
    let size = at(swap, "/size_bytes").as_u64().context("no number")?;
    ensure!(
        u64::try_from(bytes.len())? == size + 4096,
        "{}",
        bytes.len()
    );
    let header = bytes.get(..PAGE).context("no header")?;
    ensure!(header.ends_with(b"SWAPSPACE2"));
    Ok(())
}

/// All of the process's memory and its arguments, byte for byte.
fn read_back(image: &Path, swapped: &Swapped) -> Result<()> {
    let mount = Mount::new(image)?;
    let found = mount.memory(swapped)?;
    let expected = expected();
    for (number, (found, expected)) in found.chunks(PAGE).zip(expected.chunks(PAGE)).enumerate() {
        ensure!(
            found == expected,
            "{}: page {number} begins with {:?}",
            image.display(),
            String::from_utf8_lossy(found.get(..32).unwrap_or(found))
        );
    }
    ensure!(found.len() == expected.len());
    // In the middle of a page, and across two.
    let file = mount.file(swapped)?;
    let mut piece = [0; 100];
    file.read_exact_at(&mut piece, swapped.start + 4046)?;
    ensure!(expected.get(4046..4146) == Some(&piece[..]));
    drop(mount);
    let (_, document) = shown::json("ps", image, &[])?;
    let tasks = at(&document, "/tasks").as_array().context("no tasks")?;
    let task = tasks.iter().find(|task| at(task, "/pid") == swapped.pid);
    let task = task.context("the process is not listed")?;
    let words = json!([
        "swapped",
        NAME,
        PAGES.to_string(),
        "--with",
        "words of its own"
    ]);
    ensure!(*at(task, "/arguments") == words, "{task:#}");
    let (_, document) = shown::json("check", image, &[])?;
    let pages = at(&document, "/user_pages");
    let count = |name: &str| at(pages, name).as_u64().context("no number");
    println!("{}: {pages}", image.display());
    ensure!(count("/kept_in_swap")? > u64::try_from(PAGES)?, "{pages:#}");
    ensure!(count("/kept_in_swap")? <= count("/swapped")?, "{pages:#}");
    Ok(())
}

/// Without the area there is nothing in their place, but for those pages that memory still has
/// since they were written: these are right.
fn not_read(image: &Path, swapped: &Swapped) -> Result<()> {
    let mount = Mount::new(image)?;
    let file = mount.file(swapped)?;
    let mut unread = 0;
    let mut found = [0; PAGE];
    for (number, expected) in expected().chunks(PAGE).enumerate() {
        let at = swapped.start + u64::try_from(number * PAGE)?;
        match file.read_exact_at(&mut found, at) {
            Ok(()) => ensure!(found == expected, "page {number} is read, and another one"),
            Err(_) => unread += 1,
        }
    }
    drop(mount);
    println!("{unread} of {} pages are in the area alone", PAGES + 1);
    ensure!(unread > PAGES / 2, "{unread} pages");
    let (_, document) = shown::json("maps", image, &["--pid", &swapped.pid.to_string()])?;
    ensure!(at(&document, "/processes/0/pid") == swapped.pid);
    Ok(())
}

#[test]
fn memory_in_a_swap_file_is_read_back() -> Result<()> {
    let target = machines::target(|machine| machine.memory_mib(256))?;
    let said = target.vm.run(&["swapon", FILE, "24"])?.ok()?;
    println!("{}", said.stdout_text()?);
    compare(target, FILE)
}

#[test]
fn memory_in_a_compressed_device_is_read_back() -> Result<()> {
    let target = machines::target(with_zram)?;
    target.vm.write("/sys/block/zram0/disksize", "24M")?;
    target.vm.run(&["swapon", "/dev/zram0"])?.ok()?;
    compare(target, "/dev/zram0")
}

/// An image that is mounted. Dropping it unmounts it.
struct Mount {
    program: Child,
    folder: tempfile::TempDir,
}

impl Mount {
    fn new(image: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = host_dumper::command()?;
        command.arg("mount").arg(image).arg(folder.path());
        let mut program = command.stdout(Stdio::piped()).spawn()?;
        let stdout = program.stdout.take().context("no pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(!line.is_empty(), "{} is not mounted", image.display());
        Ok(Self { program, folder })
    }

    fn file(&self, swapped: &Swapped) -> Result<File> {
        let path = format!("pid/{}/mem", swapped.pid);
        let path = self.folder.path().join(path);
        File::open(&path).with_context(|| path.display().to_string())
    }

    fn memory(&self, swapped: &Swapped) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (PAGES + 1) * PAGE];
        self.file(swapped)?
            .read_exact_at(&mut bytes, swapped.start)?;
        Ok(bytes)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also where a file is still open, after a comparison that failed.
        let mut umount = Command::new("umount");
        let _ = umount.arg("--lazy").arg(self.folder.path()).status();
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
