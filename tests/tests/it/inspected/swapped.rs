// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a process had in memory when the kernel had written it to swap, read from an image and the
//! areas that were kept beside it.

use super::shown::{self, at};
use crate::host_dumper;
use crate::machines;
use crate::mounted_image::MountedImage;
use anyhow::{Context, Result, bail, ensure};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::VmBuilder;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const PAGE: usize = 4096;
/// Pages that the guest may still have in memory since it wrote them: it waits for fewer than
/// 100 KiB of them.
const STILL_THERE: usize = 25;
const PAGES: usize = 1500;
const NAME: &str = "outswapped";
/// Its size is that of no other area.
const FILE: &str = "/scratch/swap file";
const DEVICE: &str = "/dev/zram0";

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
    not_read(&without, &swapped, area)
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
    let mounted = MountedImage::new(image)?;
    let file = mounted.memory(swapped.pid)?;
    let mut found = vec![0; (PAGES + 1) * PAGE];
    file.read_exact_at(&mut found, swapped.start)?;
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
    let mut piece = [0; 100];
    file.read_exact_at(&mut piece, swapped.start + 4046)?;
    ensure!(expected.get(4046..4146) == Some(&piece[..]));
    drop(file);
    drop(mounted);
    let (document, arguments) = arguments(image, swapped)?;
    ensure!(arguments == words(), "{document:#}");
    let (_, document) = shown::json("check", image, &[])?;
    let pages = at(&document, "/user_pages");
    let count = |name: &str| at(pages, name).as_u64().context("no number");
    println!("{}: {pages}", image.display());
    ensure!(count("/kept_in_swap")? > u64::try_from(PAGES)?, "{pages:#}");
    ensure!(count("/kept_in_swap")? <= count("/swapped")?, "{pages:#}");
    Ok(())
}

/// What `ps` shows, and the arguments of the process in it.
fn arguments(image: &Path, swapped: &Swapped) -> Result<(Value, Value)> {
    let (_, document) = shown::json("ps", image, &[])?;
    let tasks = at(&document, "/tasks").as_array().context("no tasks")?;
    let task = tasks.iter().find(|task| at(task, "/pid") == swapped.pid);
    let arguments = at(task.context("the process is not listed")?, "/arguments").clone();
    Ok((document, arguments))
}

/// The arguments of the process.
fn words() -> Value {
    json!([
        "swapped",
        NAME,
        PAGES.to_string(),
        "--with",
        "words of its own"
    ])
}

/// Without the area there is nothing in their place, but for the page of zeros, which the kernel
/// does not write, and for pages that memory still has since they were written: these are right.
fn not_read(image: &Path, swapped: &Swapped, area: &str) -> Result<()> {
    let mounted = MountedImage::new(image)?;
    let file = mounted.memory(swapped.pid)?;
    let mut unread = 0;
    let mut found = [0; PAGE];
    for (number, expected) in expected().chunks(PAGE).enumerate() {
        let at = swapped.start + u64::try_from(number * PAGE)?;
        match file.read_exact_at(&mut found, at) {
            Ok(()) => ensure!(found == expected, "page {number} is read, and another one"),
            Err(_) => unread += 1,
        }
    }
    drop(file);
    drop(mounted);
    println!("{unread} of {} pages are in the area alone", PAGES + 1);
    ensure!(unread + STILL_THERE >= PAGES, "{unread} pages");
    // The page with the arguments is of before the process had a group that is reclaimed, so that
    // memory may still have it, if that is not the device itself.
    let (document, arguments) = arguments(image, swapped)?;
    if area != DEVICE && arguments == words() {
        return Ok(());
    }
    let text = document.to_string();
    ensure!(
        text.contains("swapped out, to page") && text.contains("--add-swap was not given"),
        "{document:#}"
    );
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
    target.vm.run(&["swapon", DEVICE])?.ok()?;
    compare(target, DEVICE)
}
