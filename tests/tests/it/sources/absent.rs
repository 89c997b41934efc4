// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is not there: each kernel has its own way of saying so, and no source may
//! pass it off as zeros. One machine of each kernel loses memory in every way there is.

use crate::machines::{self, Block};
use crate::wait;
use anyhow::{Context, Result, ensure};
use linpmem_phys::{
    MemoryMap, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, Region, RegionKind, Unreadables,
};
use linpmem_testkit::artifacts::{self, Artifacts};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::ground_truth::{Comparison, Manifest, compare, open_elf};
use linpmem_testkit::held_pages::HeldPages;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::target_machine::{TargetMachine, companion};
use linpmem_testkit::vm::{Snapshot, Vm, iomem};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A block of memory, in MiB.
const BLOCK_MIB: u32 = 128;
/// The virtio-mem device's memory at boot, in MiB: a block, and a little of another one.
const PLUGGED_MIB: u32 = BLOCK_MIB + 8;
/// Later.
const LESS_MIB: u32 = BLOCK_MIB + 4;

/// How often a window is acquired until enough of it could be compared.
const ATTEMPTS: u32 = 5;

/// The kernels that the set-up has: Debian's stable one and the newest; or the chosen one.
#[test]
fn memory_that_is_not_there_is_listed_and_the_rest_is_exact() -> Result<()> {
    let cache = Cache::open()?;
    let mut kernels = vec![Kernel::chosen_or(&cache, &KernelPackage::stable())?];
    let newest = Kernel::chosen_or(&cache, &KernelPackage::newest())?;
    if kernels
        .iter()
        .all(|kernel| kernel.release() != newest.release())
    {
        kernels.push(newest);
    }
    for kernel in &kernels {
        let machine = Machine::boot(kernel)?;
        machine.loses_memory()?;
        machine.target.end()?;
    }
    Ok(())
}

/// A machine, and the sources of its System RAM.
struct Machine {
    target: TargetMachine,
    sources: Vec<&'static str>,
    runs: Cell<u32>,
}

/// Pages and the error that each is listed with.
type Listed = BTreeMap<PhysAddr, String>;

impl Machine {
    fn boot(kernel: &Kernel) -> Result<Self> {
        let vm = Vm::builder(kernel)
            .memory_mib(256)
            .append("memhp_default_state=online_movable")
            .qemu_arg("-m")
            .qemu_arg("slots=1,maxmem=4G")
            .device("virtio-balloon-pci")
            .module("virtio_balloon")
            .virtio_mem(PLUGGED_MIB)
            .boot()?;
        let mut sources = vec!["kcore"];
        let target = if kernel.has_rust() {
            let artifacts = Artifacts::build(kernel)?;
            vm.insmod(&artifacts.module, "")?;
            sources.push("linpmem");
            TargetMachine::with_dumper(vm, &artifacts.dumper)?
        } else {
            TargetMachine::with_dumper(vm, &artifacts::dumper()?)?
        };
        Ok(Self {
            target,
            sources,
            runs: Cell::new(0),
        })
    }

    fn vm(&self) -> &Vm {
        &self.target.vm
    }

    fn loses_memory(&self) -> Result<()> {
        let vm = self.vm();
        let blocks = machines::plug_two_blocks(vm)?;
        self.wait_for_virtio_mem(PLUGGED_MIB)?;
        self.virtio_mem()?;
        self.offline_block(&blocks)?;
        self.broken_pages()?;
        self.broken_huge_page()?;
        self.balloon(&blocks[0])
    }

    /// A block that is plugged in part, from the beginning and later.
    fn virtio_mem(&self) -> Result<()> {
        let text = self.vm().iomem()?;
        let mut lines = text.lines();
        let line = lines.find(|line| line.ends_with(": System RAM (virtio_mem)"));
        let (ends, _) = line
            .and_then(|line| line.trim().split_once(' '))
            .context("no memory of virtio-mem")?;
        let all = iomem::range(ends)?;
        let at = |mib: u32| PhysAddr::new(all.start().get() + (u64::from(mib) << 20));
        let window = PhysRange::new(at(BLOCK_MIB), all.end())?;
        let absent = pages(PhysRange::new(at(PLUGGED_MIB), all.end())?, "ENODATA");
        self.lists("virtio-mem, never plugged", window, Some(&absent))?;
        self.resize_virtio_mem(LESS_MIB)?;
        // The device decides which pages it gives up.
        let listed = self.lists("virtio-mem, unplugged", window, None)?;
        let there = window.len().get() / 4096 - u64::try_from(listed.len())?;
        ensure!(
            there == u64::from(LESS_MIB - BLOCK_MIB) << 8,
            "{there} pages are said to be there"
        );
        self.resize_virtio_mem(0)
    }

    fn resize_virtio_mem(&self, mib: u32) -> Result<()> {
        let request = json!({ "path": "/machine/peripheral/vmem", "property": "requested-size",
            "value": u64::from(mib) << 20 });
        self.vm().execute("qom-set", request)?;
        self.wait_for_virtio_mem(mib)
    }

    fn wait_for_virtio_mem(&self, mib: u32) -> Result<()> {
        let request = json!({ "path": "/machine/peripheral/vmem", "property": "size" });
        wait::until("the virtio-mem device has its size", || {
            let now = self.vm().execute("qom-get", request.clone())?;
            Ok((now.as_u64() == Some(u64::from(mib) << 20)).then_some(()))
        })
    }

    fn offline_block(&self, [first, second]: &[Block; 2]) -> Result<()> {
        ensure!(second.start == first.start + first.len, "no neighbours");
        let len = PhysLen::new(16 << 20);
        let window = PhysRange::from_len(PhysAddr::new(second.start - (8 << 20)), len)?;
        self.lists("online block", window, Some(&Listed::new()))?;
        second.take_offline(self.vm())?;
        let absent = PhysRange::new(PhysAddr::new(second.start), window.end())?;
        let absent = pages(absent, "ENODATA");
        self.lists("offline block", window, Some(&absent))?;
        Ok(())
    }

    /// A page that was taken out of use because it might break, and one that is broken.
    fn broken_pages(&self) -> Result<()> {
        let held = HeldPages::ordinary(self.vm())?;
        let (soft, hard) = (held.page(100)?, held.page(200)?);
        for (kind, at) in [("soft", soft), ("hard", hard)] {
            let file = format!("/sys/devices/system/memory/{kind}_offline_page");
            self.vm().write(&file, &at.to_string())?;
        }
        let absent = [soft, hard].map(|at| (at, "EHWPOISON".to_owned()));
        self.lists_held("page offline (soft, hard)", &held, &absent.into())
    }

    /// It may be that only the first page of the huge one is marked: all of it is refused.
    fn broken_huge_page(&self) -> Result<()> {
        let held = HeldPages::huge(self.vm())?;
        let broken = held.page(300)?;
        let file = "/sys/devices/system/memory/hard_offline_page";
        self.vm().write(file, &broken.to_string())?;
        let pages = held.pages().iter();
        let absent = pages.map(|page| (page.start(), "EHWPOISON".to_owned()));
        self.lists_held("hwpoison in a huge page", &held, &absent.collect())
    }

    /// The balloon takes movable memory first, and so nearly all from the block.
    fn balloon(&self, block: &Block) -> Result<()> {
        const TAKEN: u64 = 96 << 20;
        let now = self.vm().execute("query-balloon", json!({}))?;
        let now = now.get("actual").and_then(Value::as_u64);
        let left = now.context("no size of the balloon")? - TAKEN;
        machines::inflate_balloon(self.vm(), left)?;
        let window = PhysRange::from_len(PhysAddr::new(block.start), PhysLen::new(block.len))?;
        let listed = self.lists("balloon", window, None)?;
        // The broken pages may be in the block, too.
        let ballooned = listed.iter().filter(|(_, errno)| *errno == "ENODATA");
        let count = u64::try_from(ballooned.clone().count())?;
        ensure!(
            (TAKEN / 4096 / 10 * 9..=TAKEN / 4096).contains(&count),
            "{count} pages are said to be in the balloon"
        );
        // QEMU has given their memory back.
        let view = self.view(window, "ballooned")?;
        for (&at, _) in ballooned {
            let (mut page, mut none) = ([0x55; 4096], Unreadables::new());
            view.read_phys(at, &mut page, &mut none)?;
            ensure!(
                page.iter().all(|&byte| byte == 0),
                "{at} is listed, but not in the balloon"
            );
        }
        Ok(())
    }

    /// Acquires `window` from each source. What is listed must be `absent`, if it is known,
    /// and the rest must be what QEMU sees. Returns what was listed.
    ///
    /// The page cache uses some of the pages, and changes them. If it has used nearly all, nothing
    /// is known of them, and the window is acquired once more.
    fn lists(&self, kind: &str, window: PhysRange, absent: Option<&Listed>) -> Result<Listed> {
        let mut last = Listed::new();
        for source in &self.sources {
            let mut is_enough = false;
            let mut attempts = 0;
            while !is_enough {
                attempts += 1;
                let (listed, found) = self.acquired(kind, source, window, absent)?;
                last = listed;
                is_enough = found.equal * 10 >= found.total - found.excused;
                ensure!(
                    found.wrong + found.missing == 0 && (is_enough || attempts < ATTEMPTS),
                    "{kind} by {source}, for the {attempts}th time: {found}"
                );
            }
        }
        Ok(last)
    }

    /// Acquires `window`, and compares it. Returns what was listed as well.
    fn acquired(
        &self,
        kind: &str,
        source: &str,
        window: PhysRange,
        absent: Option<&Listed>,
    ) -> Result<(Listed, Comparison)> {
        // What disappears is not zero, and neither is what stays. And what the run before left in
        // its pages is gone: this one may well leave the same there.
        self.vm().run(&["mark"])?.ok()?;
        let before = self.view(window, "before")?;
        let image = self.dump(source, &[window])?;
        let after = self.view(window, "after")?;
        let listed = self.listed(kind, source, &image, absent)?;
        let excused = image.manifest.unreadable()?;
        let image = open_elf(&image.path)?;
        let found = compare(&map(window)?, &[&before, &after], &image, &excused, &[])?;
        Ok((listed, found))
    }

    /// QEMU's view of `window`.
    fn view(&self, window: PhysRange, name: &str) -> Result<Snapshot> {
        self.vm().pause()?;
        let view = self
            .vm()
            .snapshot_of(map(window)?, &self.target.work().join(name));
        self.vm().resume()?;
        view
    }

    /// Acquires the held pages from each source. Exactly `absent` must be listed.
    fn lists_held(&self, kind: &str, held: &HeldPages<'_>, absent: &Listed) -> Result<()> {
        for source in &self.sources {
            let image = self.dump(source, &runs(held.pages()))?;
            self.listed(kind, source, &image, Some(absent))?;
            let absent: Vec<PhysAddr> = absent.keys().copied().collect();
            held.require_in(&open_elf(&image.path)?, &absent)?;
        }
        Ok(())
    }

    /// What the manifest of `image` lists, which must be `absent`, if that is known.
    fn listed(
        &self,
        kind: &str,
        source: &str,
        image: &Image,
        absent: Option<&Listed>,
    ) -> Result<Listed> {
        let mut listed = Listed::new();
        for (range, name) in image.manifest.refused()? {
            listed.extend(pages(range, name));
        }
        let release = self.vm().kernel().release();
        let said = summary(&listed);
        println!("absent: {release} | {kind} | {source} | {said}");
        if let Some(absent) = absent {
            let wanted = summary(absent);
            ensure!(listed == *absent, "{kind}: {said} are listed, not {wanted}");
        }
        Ok(listed)
    }

    fn dump(&self, source: &str, ranges: &[PhysRange]) -> Result<Image> {
        self.runs.set(self.runs.get() + 1);
        let name = format!("{}.core", self.runs.get());
        let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        let mut words = vec!["--no-artifacts", "--source", source];
        words.extend(ranges.iter().flat_map(|range| ["--range", range.as_str()]));
        let output = self.target.dump(&words, &name)?;
        let path = self.target.pull(&name)?;
        let manifest = Manifest::open(&companion(&path, "manifest.jsonl"))?;
        let code = if manifest.refused()?.is_empty() { 0 } else { 3 };
        let output = output.exited(code)?;
        ensure!(!output.text().contains("warning"), "{}", output.text());
        Ok(Image { path, manifest })
    }
}

/// An image on the host.
struct Image {
    path: PathBuf,
    manifest: Manifest,
}

fn pages(range: PhysRange, errno: &str) -> Listed {
    let pages = range.pieces(PAGE_SIZE);
    pages.map(|page| (page.start(), errno.to_owned())).collect()
}

fn map(range: PhysRange) -> Result<MemoryMap> {
    let kind = RegionKind::SystemRam;
    Ok(MemoryMap::new([Region { range, kind }])?)
}

/// `pages` by address, with neighbours joined.
fn runs(pages: &[PhysRange]) -> Vec<PhysRange> {
    let mut sorted = pages.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<PhysRange> = Vec::new();
    for page in sorted {
        match runs.last_mut() {
            Some(last) if last.end() == page.start() => {
                if let Ok(joined) = PhysRange::new(last.start(), page.end()) {
                    *last = joined;
                }
            }
            _ => runs.push(page),
        }
    }
    runs
}

/// How many pages there are of each error.
fn summary(listed: &Listed) -> String {
    let mut counts = BTreeMap::<&str, u64>::new();
    for name in listed.values() {
        *counts.entry(name).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    match counts.is_empty() {
        true => "no page".to_owned(),
        false => counts.join(", "),
    }
}
