// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine itself must have: the means to make a Debian tree.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::step::step;
use crate::cache::Cache;

/// Debian's own keys, by which every package list is checked.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The program that makes the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// Faster, and able to work without being root.
    Mmdebstrap,
    /// Older and slower, where the first is not at hand.
    Debootstrap,
}

/// Installs what is missing when it can, else says what to install.
///
/// # Errors
/// When packages are missing and cannot be installed.
pub fn ready(cache: &Cache) -> Result<Bootstrap> {
    let missing = missing();
    if !missing.is_empty() {
        let names = missing.join(" ");
        if !rustix::process::geteuid().is_root() {
            bail!(
                "packages are missing on this machine: install {names} (as root, on Debian: `apt-get install {names}`), then run this again"
            );
        }
        if !on_path("apt-get") {
            bail!(
                "programs are missing on this machine, and it has no apt-get: install what Debian calls {names}, then run this again"
            );
        }
        step(
            cache,
            "host",
            &format!("installing {names} on this machine"),
            |log| {
                log.run(Command::new("apt-get").arg("update"))?;
                let mut install = Command::new("apt-get");
                install
                    .args(["install", "--yes", "--no-install-recommends"])
                    .args(&missing);
                log.run(install.env("DEBIAN_FRONTEND", "noninteractive"))
            },
        )?;
    }
    if on_path("mmdebstrap") {
        Ok(Bootstrap::Mmdebstrap)
    } else {
        Ok(Bootstrap::Debootstrap)
    }
}

/// The packages to install.
fn missing() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !on_path("mmdebstrap") && !on_path("debootstrap") {
        missing.push("mmdebstrap");
    }
    if !Path::new(KEYRING).exists() {
        missing.push("debian-archive-keyring");
    }
    for (program, package) in [
        ("unshare", "util-linux"),
        ("mount", "mount"),
        ("tar", "tar"),
        ("gpgv", "gpgv"),
        // Static binaries are linked with the machine's own compiler.
        ("cc", "gcc"),
        // libFuzzer, and judges that some tests call in.
        ("c++", "g++"),
        ("readelf", "binutils"),
        ("unzip", "unzip"),
        ("valgrind", "valgrind"),
        ("zstd", "zstd"),
    ] {
        if !on_path(program) {
            missing.push(package);
        }
    }
    missing
}

/// Whether `program` is in one of `PATH`'s folders, or where root has its own.
#[must_use]
pub fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin", "/sbin"].map(Into::into));
    dirs.iter().any(|dir| dir.join(program).is_file())
}
