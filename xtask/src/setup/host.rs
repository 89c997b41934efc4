// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine itself must have.

use super::task::task;
use anyhow::{Result, bail};
use linpmem_testkit::cache::Cache;
use std::env;
use std::path::Path;
use std::process::Command;

/// Debian's own keys, which every package list is verified with.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Programs, and the Debian packages that have them.
const PROGRAMS: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("tar", "tar"),
    ("gpgv", "gpgv"),
    // Links the static programs.
    ("cc", "gcc"),
    // Builds libFuzzer.
    ("c++", "g++"),
    // Some tests compare with these.
    ("readelf", "binutils"),
    ("unzip", "unzip"),
    ("valgrind", "valgrind"),
    ("zstd", "zstd"),
];

/// Installs what is missing if it can, else says what to install.
pub fn ready(cache: &Cache) -> Result<()> {
    let missing = PROGRAMS.iter().filter(|(program, _)| !on_path(program));
    let mut missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if !Path::new(KEYRING).exists() {
        missing.push("debian-archive-keyring");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !on_path("apt-get") {
        bail!("install what Debian calls {names}, with apt, and run this again");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("packages are missing: run `apt-get install {names}` as root, then this again");
    }
    task(cache, "host", &format!("installing {names}"), |log| {
        log.run(Command::new("apt-get").arg("update"))?;
        let mut install = Command::new("apt-get");
        install
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&missing);
        log.run(install.env("DEBIAN_FRONTEND", "noninteractive"))
    })
}

/// Whether `program` is in one of `PATH`'s folders, or in root's.
pub fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin", "/sbin"].map(Into::into));
    dirs.iter().any(|dir| dir.join(program).is_file())
}
