// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scripts of the Debian package.

use super::system::{System, VERSION};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts;
use linpmem_testkit::checkout;
use std::fs;

/// As dpkg starts them.
#[test]
fn installing_the_package_installs_the_module_and_removing_it_leaves_nothing() -> Result<()> {
    let system = System::with_package()?;
    let release = system.kernel.release().to_owned();
    let folder = artifacts::dkms()?;
    for script in ["postinst", "prerm"] {
        system.put(&format!("/root/{script}"), &folder.join(script))?;
    }
    let installed = format!("linpmem/{VERSION}, {release}, x86_64: installed");
    system.run(&["/root/postinst", "configure", ""])?.ok()?;
    ensure!(system.status()? == installed, "{}", system.status()?);
    // The same version again, and what dpkg does when a removal failed.
    for words in [["configure", VERSION], ["abort-remove", ""]] {
        let [action, version] = words;
        system.run(&["/root/postinst", action, version])?.ok()?;
        ensure!(system.status()? == installed, "{}", system.status()?);
    }
    system.run(&["/root/prerm", "remove"])?.ok()?;
    ensure!(system.traces()?.is_empty(), "{:?}", system.traces()?);
    // A second time, as after an interrupted removal.
    system.run(&["/root/prerm", "remove"])?.ok()?;
    Ok(())
}

/// What Debian's kernel packages do when they are installed later than the module's.
#[test]
fn a_kernel_that_comes_later_gets_its_module_by_itself() -> Result<()> {
    let system = System::with_package()?;
    let release = system.kernel.release().to_owned();
    system
        .run(&["dkms", "add", &format!("linpmem/{VERSION}")])?
        .ok()?;
    system
        .run(&["/etc/kernel/postinst.d/dkms", &release])?
        .ok()?;
    let installed = format!("linpmem/{VERSION}, {release}, x86_64: installed");
    ensure!(system.status()? == installed, "{}", system.status()?);
    system.run(&["/etc/kernel/prerm.d/dkms", &release])?.ok()?;
    let left = system.traces()?;
    ensure!(left.iter().all(|path| !path.contains(".ko")), "{left:?}");
    Ok(())
}

#[test]
fn shellcheck_has_nothing_to_say() -> Result<()> {
    let system = System::plain()?;
    let folder = checkout::dir().join("packaging/dkms");
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if fs::read(&path)?.starts_with(b"#!/bin/sh") {
            let path = path.to_str().context("not UTF-8")?;
            system.run(&["shellcheck", "--shell=sh", path])?.ok()?;
            count += 1;
        }
    }
    ensure!(count == 3, "{count} scripts");
    Ok(())
}
