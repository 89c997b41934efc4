// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every error, provoked.

use super::{MODULE, fails, machine, pmem, refused, said, start, text};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use linpmem_testkit::vm::{Vm, guest};
use std::fs;

#[test]
fn every_error_says_what_to_do() -> Result<()> {
    explains_errors(Arch::X86_64)
}

pub fn explains_errors(arch: Arch) -> Result<()> {
    let vm = machine(arch)?;
    vm.push(&guest::build_for(arch, "linpmem-probe")?, "/bin/probe")?;
    without_module(&vm)?;
    files(&vm)?;
    in_use(&vm)?;
    nodes(&vm)?;
    // These come last, as they cannot be undone.
    lockdown(&vm)?;
    signatures(&vm)?;
    vm.write("/proc/sys/kernel/modules_disabled", "1")?;
    fails(&vm, "rmmod", 1, &["modules_disabled is 1"])?;
    vm.shutdown()
}

fn without_module(vm: &Vm) -> Result<()> {
    for command in ["--cr3", "info", "read 0x1000", "vtop 0x1000", "cr3"] {
        fails(
            vm,
            command,
            1,
            &["Error: /dev/linpmem does not exist", "load the module"],
        )?;
    }
    fails(vm, "info --device /dev/null", 1, &["/dev/null", "linpmem"])?;
    fails(vm, "info --device /init", 1, &["not a character device"])?;
    fails(vm, "rmmod", 1, &["no module called linpmem is loaded"])?;
    fails(vm, "insmod -r", 1, &["no module called linpmem is loaded"])?;
    fails(vm, "insmod /tmp/none.ko", 1, &["/tmp/none.ko"])?;
    fails(vm, "insmod /init", 1, &["not a kernel module"])?;
    ensure!(
        text(vm, "ranges")?.contains("System RAM"),
        "`ranges` needs no module"
    );
    let insmod = pmem(vm, &format!("insmod {MODULE}")).uid(1000);
    refused(&insmod.run()?.exited(1)?, &["only root may"])
}

/// Modules that are compressed, for another kernel, or damaged.
fn files(vm: &Vm) -> Result<()> {
    let module = artifacts::module(vm.kernel())?;
    let bytes = fs::read(&module)?;
    let tree = DebianTree::open(&Cache::open()?)?;
    for (program, ending) in [("xz", "xz"), ("zstd", "zst"), ("gzip", "gz")] {
        let mut pack = tree.command(program, &[]);
        pack.arg("-c");
        if program == "xz" {
            // As the kernel's own build does.
            pack.args(["--check=crc32", "--lzma2=dict=1MiB"]);
        }
        let packed = pack.arg(&module).output()?;
        ensure!(packed.status.success(), "{program} failed");
        let path = format!("/tmp/linpmem.ko.{ending}");
        vm.put(&path, 0o600, &packed.stdout)?;
        ensure!(said(vm, &format!("insmod {path}"))?.is_empty());
        ensure!(
            said(vm, &format!("read {:#x}+8", start(vm)))?.len() == 8,
            "{program}"
        );
        ensure!(said(vm, "rmmod")?.is_empty());
    }

    let release = vm.kernel().release();
    let magic = format!("vermagic={release}");
    let at = bytes
        .windows(magic.len())
        .position(|window| window == magic.as_bytes())
        .context("no vermagic")?;
    let mut other = bytes.clone();
    other[at + "vermagic=".len()] = b'9';
    vm.put("/tmp/other.ko", 0o600, &other)?;
    let built_for = format!("built for kernel 9{}", &release[1..]);
    let words = [built_for.as_str(), release, "build linpmem.ko for"];
    fails(vm, "insmod /tmp/other.ko", 1, &words)?;
    vm.put("/tmp/cut.ko", 0o600, &bytes[..bytes.len() - 64])?;
    fails(vm, "insmod /tmp/cut.ko", 1, &["/tmp/cut.ko", "dmesg"])?;

    fails(
        vm,
        &format!("insmod {MODULE} major=1"),
        1,
        &["device number 1", "EBUSY"],
    )?;
    fails(
        vm,
        &format!("insmod {MODULE} major=x"),
        1,
        &["`major=x` were refused"],
    )
}

fn in_use(vm: &Vm) -> Result<()> {
    ensure!(said(vm, &format!("insmod {MODULE}"))?.is_empty());
    fails(vm, &format!("insmod {MODULE}"), 1, &["loaded already"])?;
    let reader = pmem(vm, "--cr3").uid(1000).run()?.exited(1)?;
    refused(&reader, &["Error: ", "root"])?;
    let mut holder = vm.command(&["probe", "held"]).start()?;
    holder.wait_for("open")?;
    let who = format!("{} (probe)", holder.pid());
    fails(vm, "rmmod", 1, &["in use by", &who])?;
    holder.signal(9)?;
    holder.wait()?;
    said(vm, "rmmod").map(drop)
}

/// Nodes that are missing or left over.
fn nodes(vm: &Vm) -> Result<()> {
    vm.run(&["probe", "node", "0"])?.ok()?;
    fails(vm, "info", 1, &["left over"])?;
    // An existing node is used if it is the right one.
    ensure!(said(vm, &format!("insmod {MODULE} major=42"))?.is_empty());
    ensure!(text(vm, "info")?.contains("linpmem"));
    vm.run(&["probe", "remove", "/dev/linpmem"])?.ok()?;
    fails(vm, "info", 1, &["mknod /dev/linpmem c 42 0"])?;
    // As in the original, a node that is already gone is an error.
    fails(vm, "insmod -r", 1, &["gone already"])?;
    fails(vm, "rmmod", 1, &["no module called linpmem"])
}

fn lockdown(vm: &Vm) -> Result<()> {
    ensure!(said(vm, &format!("insmod {MODULE}"))?.is_empty());
    vm.write("/sys/kernel/security/lockdown", "integrity")?;
    for command in ["info", "read 0x1000", "--cr3"] {
        let words = ["refused to open", "lockdown is integrity"];
        fails(vm, command, 1, &words)?;
    }
    ensure!(said(vm, "rmmod")?.is_empty());
    let words = ["lockdown is integrity", "boot without lockdown"];
    fails(vm, &format!("insmod {MODULE}"), 1, &words)
}

fn signatures(vm: &Vm) -> Result<()> {
    vm.write("/sys/module/module/parameters/sig_enforce", "Y")?;
    let words = ["refused the signature", "enforcement on", "mokutil"];
    fails(vm, &format!("insmod {MODULE}"), 1, &words)
}
