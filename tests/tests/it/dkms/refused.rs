// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels that there can be no module for: DKMS says that it failed, its log says why, and
//! nothing is installed.

use super::system::{System, VERSION};
use crate::contains::contains;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use std::fs;

/// Asks for the module for `release`, with `more` arguments. Returns the log of the build.
fn refusal(system: &System, release: &str, more: &[&str]) -> Result<String> {
    system.dkms("add", release, &[])?.ok()?;
    for command in ["build", "install"] {
        let said = system.dkms(command, release, more)?.failed()?;
        contains(&said, &["Bad return status for module build", "make.log"])?;
    }
    let log = format!("/var/lib/dkms/linpmem/{VERSION}/build/make.log");
    let log = system.run(&["cat", &log])?.ok()?;
    let status = system.status()?;
    ensure!(status == format!("linpmem/{VERSION}: added"), "{status}");
    let modules: Vec<String> = system
        .traces()?
        .into_iter()
        .filter(|path| path.contains(".ko") || path.contains("/modules."))
        .collect();
    ensure!(modules.is_empty(), "there is a module: {modules:?}");
    system
        .run(&["dkms", "remove", &format!("linpmem/{VERSION}"), "--all"])?
        .ok()?;
    ensure!(system.traces()?.is_empty(), "{:?}", system.traces()?);
    Ok(log)
}

/// As a kernel older than 5.8 is: the module cannot know where its structs have their members.
#[test]
fn a_kernel_that_does_not_describe_its_types() -> Result<()> {
    let system = System::with_package()?;
    let release = system.kernel.release().to_owned();
    let folder = tempfile::tempdir()?;
    let stripped = folder.path().join("vmlinux");
    let tree = DebianTree::open(&Cache::open()?)?;
    let output = tree
        .command("objcopy", &[])
        .args(["--strip-debug", "--remove-section=.BTF"])
        .arg(system.kernel.vmlinux())
        .arg(&stripped)
        .output()?;
    ensure!(output.status.success(), "objcopy failed: {output:?}");
    system.put(&format!("/boot/vmlinuz-{release}"), &stripped)?;
    let log = refusal(&system, &release, &[])?;
    contains(
        &log,
        &[
            "the kernel's types (BTF) cannot be established",
            "older than 5.8",
            "linpmem-fit refused",
            "built without Rust (CONFIG_RUST)",
            "there will be no module",
        ],
    )
}

/// Headers alone, as where a kernel was removed and they were not.
#[test]
fn a_kernel_that_is_not_installed() -> Result<()> {
    let system = System::with_package()?;
    let release = system.kernel.release().to_owned();
    let image = format!("/boot/vmlinuz-{release}");
    system.run(&["rm", &image])?.ok()?;
    let log = refusal(&system, &release, &[])?;
    contains(&log, &["the kernel itself is not installed", &image])
}

#[test]
fn a_system_without_the_program_that_fits() -> Result<()> {
    let system = System::with_package()?;
    fs::remove_file(system.changed("/usr/bin/linpmem-fit"))?;
    let release = system.kernel.release().to_owned();
    let log = refusal(&system, &release, &[])?;
    contains(&log, &["linpmem-fit is not installed"])
}

/// On such a machine DKMS knows the architecture, and elsewhere the kernel's files tell.
#[test]
fn a_kernel_for_arm64() -> Result<()> {
    let system = System::with_package()?;
    let package = KernelPackage::newest_of(Arch::Aarch64);
    let other = Kernel::of_package(&Cache::open()?, &package)?;
    let release = other.release();
    system.put(&format!("/boot/vmlinuz-{release}"), &other.vmlinuz())?;
    let modules = format!("/lib/modules/{release}");
    let built_in = other.modules().join("modules.builtin");
    system.put(&format!("{modules}/modules.builtin"), &built_in)?;
    let headers = format!("{modules}/build");
    fs::create_dir_all(system.changed(&format!("{headers}/include")))?;
    let config = other.dir().join("config");
    system.put(&format!("{headers}/.config"), &config)?;

    let log = refusal(&system, release, &["-a", "aarch64"])?;
    let is_rust = other.has_rust();
    ensure!(
        is_rust,
        "{release} has no Rust: this test needs one that has"
    );
    contains(
        &log,
        &[
            "the prebuilt module is for x86-64, and this kernel is for aarch64",
            "has no rust/libkernel.rmeta",
        ],
    )?;
    let log = refusal(&system, release, &[])?;
    let reason = log
        .lines()
        .find(|line| line.starts_with("linpmem-fit: error:"))
        .context("linpmem-fit did not say why")?;
    contains(reason, &["arm64"])
}
