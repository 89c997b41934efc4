// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel that the module can be fitted to.

use super::signature::Signed;
use super::system::{System, VERSION};
use crate::contains::contains;
use crate::pattern::{self, PatternFile};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts;
use linpmem_testkit::modinfo;
use linpmem_testkit::vm::{Vm, guest};
use std::fs;
use std::path::{Path, PathBuf};

/// The module is built, signed by DKMS' key and installed; it reads memory of known content in a
/// machine; and nothing of it is left when it is removed.
#[test]
fn a_signed_module_is_installed_and_reads_memory() -> Result<()> {
    let system = System::with_package()?;
    let release = system.kernel.release().to_owned();
    ensure!(system.traces()?.is_empty(), "the system is not fresh");
    for command in ["add", "build", "install"] {
        system.dkms(command, &release, &[])?.ok()?;
    }
    let status = format!("linpmem/{VERSION}, {release}, x86_64: installed");
    ensure!(system.status()? == status, "{}", system.status()?);

    let info = system.run(&["modinfo", "-k", &release, "linpmem"])?.ok()?;
    contains(
        &info,
        &["/updates/dkms/linpmem.ko", "DKMS module signing key"],
    )?;
    let folder = tempfile::tempdir()?;
    let module = unpacked(&system, &info, folder.path())?;
    let bytes = fs::read(&module)?;
    let vermagic = modinfo::values(&bytes, "vermagic")?;
    let of_release = |magic: &String| magic.starts_with(&format!("{release} "));
    ensure!(vermagic.len() == 1 && vermagic.iter().all(of_release));
    let signed = Signed::new(&bytes)?;
    signed.verify(&system)?;
    let other = signed.clone().with_another_byte();
    ensure!(
        other.verify(&system).is_err(),
        "the signature is of anything"
    );
    // The same that an administrator would get by the program.
    let fitted = fitted(&system, &release)?;
    ensure!(signed.content() == fitted, "DKMS has changed the module");

    reads_memory(&system, &module)?;

    system
        .run(&["dkms", "remove", &format!("linpmem/{VERSION}"), "--all"])?
        .ok()?;
    ensure!(system.traces()?.is_empty(), "{:?}", system.traces()?);
    Ok(())
}

/// The installed module as the kernel takes it, which Debian's installs compressed.
fn unpacked(system: &System, info: &str, folder: &Path) -> Result<PathBuf> {
    let mut lines = info.lines();
    let path = lines.find_map(|line| line.strip_prefix("filename:"));
    let path = path.context("modinfo names no file")?.trim();
    let plain = folder.join("linpmem.ko");
    let pack = match path.rsplit('.').next() {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => "cat",
    };
    let unpack = match pack {
        "cat" => format!("cat {path} > {}", plain.display()),
        pack => format!("{pack} -dc {path} > {}", plain.display()),
    };
    system.run(&["sh", "-c", &unpack])?.ok()?;
    Ok(plain)
}

/// What `linpmem-fit` makes for the kernel.
fn fitted(system: &System, release: &str) -> Result<Vec<u8>> {
    let fit = ["linpmem-fit", "--release", release, "-o", "/root/fitted.ko"];
    system.run(&fit)?.ok()?;
    Ok(fs::read(system.changed("/root/fitted.ko"))?)
}

/// Boots the kernel, loads the module and compares a range of known content in every mode.
fn reads_memory(system: &System, module: &Path) -> Result<()> {
    let pattern = PatternFile::new()?;
    let builder = Vm::builder(&system.kernel)
        .memory_mib(512)
        .scratch_gib(None);
    let vm = pattern.load(builder).boot()?;
    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    vm.push(&artifacts::pmem()?, "/bin/pmem")?;
    vm.insmod(module, "")?;
    let (start, len) = (pattern::start_on(Arch::X86_64), pattern::LEN);
    crate::kmod::ask(&vm, &format!("exact {start:#x} {len:#x}"))?;
    vm.run(&["pmem", "rmmod"])?.ok()?;
    vm.shutdown()
}
