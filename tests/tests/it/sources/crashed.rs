// SPDX-License-Identifier: MIT OR Apache-2.0
//! A real crash kernel: /proc/vmcore has the memory of the kernel that crashed, and the
//! crash kernel's own files must not be taken for its.

use crate::contains::contains;
use crate::machines;
use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_phys::{MemoryMap, PhysAddr, PhysRange, Region, RegionKind};
use linpmem_testkit::artifacts;
use linpmem_testkit::ground_truth::{Manifest, compare, open_elf};
use linpmem_testkit::kernel::KernelPackage;
use linpmem_testkit::target_machine::companion;
use linpmem_testkit::vm::{Vm, guest, iomem};
use serde_json::Value;

/// For the crash kernel and its initramfs.
const CRASH_MEMORY: &str = "224M";
const COMMAND_LINE: &str =
    "console=ttyS0 nr_cpus=1 irqpoll reset_devices panic=-1 scratch_disk=vda";

/// Never in /proc/vmcore: the kernel keeps it free if it reserves memory for a crash kernel.
const FIRST_MIB: u64 = 1 << 20;

#[test]
fn the_memory_of_a_kernel_that_crashed_is_acquired() -> Result<()> {
    let target = machines::without_module(&KernelPackage::newest(), |machine| {
        machine
            .memory_mib(512)
            .append(&format!("crashkernel={CRASH_MEMORY}"))
    })?;
    load_crash_kernel(&target.vm)?;
    println!("{}", target.fill(30)?);
    let text = target.vm.iomem()?;
    let reserved = reserved_memory(&text)?;
    let crashed = Crashed {
        ram: memory_of_crashed_kernel(&text, reserved)?,
        text: text_of(&target.vm)?,
    };
    let before = target.snapshot("before")?;
    target.vm.crash()?;
    let own_text = text_of(&target.vm)?;
    ensure!(
        own_text != crashed.text,
        "KASLR has put both kernels at {own_text:#x}, so that this test cannot tell them apart"
    );

    target.vm.push(&artifacts::dumper()?, "/bin/linpmem-dump")?;
    // Its own memory is not what one is after here.
    let range = format!("{:#x}+1MiB", reserved.start().get() + (64 << 20));
    let own = ["--source", "kcore", "--no-artifacts", "--range", &range];
    let own = target.dump(&own, "own.core")?.exited(0)?;
    contains(&own.text(), &["the memory of this small kernel only"])?;

    // Nothing but this source reads memory then.
    let lockdown = "/sys/kernel/security/lockdown";
    target.vm.write(lockdown, "confidentiality")?;
    let output = target.dump(&["--format", "elf"], "crashed.core")?;
    println!("{}", output.text());
    let output = output.exited(0)?;
    let release = target.vm.kernel().release();
    contains(
        &output.text(),
        &[
            &format!("memory of the kernel that crashed ({release})"),
            "System RAM from /proc/vmcore",
        ],
    )?;
    let after = target.snapshot("after")?;
    let image = target.pull("crashed.core")?;

    // Nothing has changed since the crash, not a single page.
    let memory = open_elf(&image)?;
    let exact = compare(&crashed.ram, &[&after, &after], &memory, &[], &[])?;
    println!("compared with the memory after the crash: {exact}");
    ensure!(exact.equal == exact.total, "{exact}");
    let found = compare(
        &crashed.ram,
        &[&before, &after],
        &memory,
        &[],
        target.filled(),
    )?;
    println!("and with the memory before it: {found}");
    found.require(0.5)?;
    ensure!(found.equal_and_still > 5_000, "{found}");

    // A note for each processor, with its registers.
    let core = open_image(&image)?;
    let notes = core.machine().notes.iter();
    let registers = notes.filter(|note| note.is_registers()).count();
    ensure!(registers == 2, "the registers of {registers} processors");

    let manifest = Manifest::open(&companion(&image, "manifest.jsonl"))?;
    crashed.is_described_by(&manifest, release)?;
    the_crash_kernels_files_do_not_pass_for_its(&manifest)?;
    target.vm.shutdown()
}

/// Loads the machine's own kernel, with its own initramfs, as the crash kernel.
fn load_crash_kernel(vm: &Vm) -> Result<()> {
    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    vm.push(&vm.kernel().vmlinuz(), "/tmp/vmlinuz")?;
    vm.push(vm.initramfs(), "/tmp/initramfs")?;
    let argv = [
        "probe",
        "crash-kernel",
        "/tmp/vmlinuz",
        "/tmp/initramfs",
        COMMAND_LINE,
    ];
    println!("{}", vm.run(&argv)?.ok()?.text());
    for file in ["/tmp/vmlinuz", "/tmp/initramfs"] {
        vm.run(&["probe", "remove", file])?.ok()?;
    }
    Ok(())
}

/// What is known of a kernel before it crashes.
struct Crashed {
    /// Its System RAM, as far as /proc/vmcore can have it.
    ram: MemoryMap,
    /// Where KASLR has put its text.
    text: u64,
}

impl Crashed {
    fn is_described_by(&self, manifest: &Manifest, release: &str) -> Result<()> {
        let fact = |path: &str| manifest.json.pointer(path).unwrap_or(&Value::Null).clone();
        let ranges: Vec<PhysRange> = manifest.pieces()?.iter().map(|piece| piece.range).collect();
        let wanted: Vec<PhysRange> = self.ram.ram().filter_map(PhysRange::page_hull).collect();
        ensure!(ranges == wanted, "{ranges:?} instead of {wanted:?}");
        let offset = format!("{:#x}", self.text - LINKED_TEXT);
        assert_eq!(fact("/machine/kaslr_offset"), offset);
        assert_eq!(fact("/machine/vmcoreinfo/release"), release);
        ensure!(fact("/machine/direct_map_base").is_string());
        assert_eq!(fact("/iomem"), Value::Null);
        assert_eq!(fact("/source/kind"), "vmcore");
        Ok(())
    }
}

/// Where the kernel's text would be without KASLR.
const LINKED_TEXT: u64 = 0xffff_ffff_8100_0000;

/// Where the text of the kernel that runs now is.
fn text_of(vm: &Vm) -> Result<u64> {
    let symbols = vm.kernel_file("/proc/kallsyms")?;
    let line = symbols.lines().find(|line| line.ends_with(" T _text"));
    let digits = line.and_then(|line| line.split(' ').next());
    Ok(u64::from_str_radix(
        digits.context("no _text in /proc/kallsyms")?,
        16,
    )?)
}

/// What is reserved for the crash kernel, from the text of /proc/iomem.
fn reserved_memory(text: &str) -> Result<PhysRange> {
    let range = text
        .lines()
        .find_map(|line| line.trim().strip_suffix(" : Crash kernel"))
        .context("nothing is reserved for a crash kernel")?;
    let range = iomem::ranges(range)?.first().copied();
    range.context("an empty range")
}

/// The System RAM in /proc/iomem that /proc/vmcore will have: not the first MiB, nor what
/// is reserved for the crash kernel.
fn memory_of_crashed_kernel(text: &str, reserved: PhysRange) -> Result<MemoryMap> {
    let ram = iomem::system_ram(text)?;
    let mut left = Vec::new();
    for range in ram.ram() {
        let (below, above) = range.split_at(reserved.start());
        let above = above.and_then(|range| range.split_at(reserved.end()).1);
        let below = below.and_then(|range| range.split_at(PhysAddr::new(FIRST_MIB)).1);
        left.extend([below, above].into_iter().flatten());
    }
    Ok(MemoryMap::new(left.into_iter().map(|range| Region {
        range,
        kind: RegionKind::SystemRam,
    }))?)
}

/// What depends on the build alone is collected. What differs is missing, and says why.
fn the_crash_kernels_files_do_not_pass_for_its(manifest: &Manifest) -> Result<()> {
    let names = |list: &str| -> Result<Vec<String>> {
        let list = manifest.json.pointer(&format!("/artifacts/{list}"));
        let list = list.and_then(Value::as_array).context("no list")?;
        let names = list.iter().filter_map(|item| item["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    };
    let (found, missing) = (names("files")?, names("missing")?);
    for name in [
        "proc/version",
        "sys/kernel/btf/vmlinux",
        "vmcoreinfo.txt",
        "machine.json",
    ] {
        ensure!(found.iter().any(|file| file == name), "{name}: {found:?}");
    }
    for name in [
        "proc/kallsyms",
        "proc/modules",
        "proc/cmdline",
        "proc/iomem",
        "dev/kmsg",
    ] {
        ensure!(
            missing.iter().any(|file| file == name),
            "{name}: {missing:?}"
        );
        ensure!(!found.iter().any(|file| file == name), "{name}: {found:?}");
    }
    Ok(())
}
