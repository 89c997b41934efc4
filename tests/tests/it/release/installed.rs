// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Debian packages, installed on Debian 12, 13 and sid.

use super::files::{find, made};
use super::fresh::Fresh;
use crate::contains::contains;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::checkout;

#[test]
fn on_debian_12() -> Result<()> {
    comes_and_goes("bookworm")
}

#[test]
fn on_debian_13() -> Result<()> {
    comes_and_goes("trixie")
}

#[test]
fn on_sid() -> Result<()> {
    comes_and_goes("sid")
}

/// Installs all packages, uses what they brought, and removes them without a trace.
fn comes_and_goes(suite: &str) -> Result<()> {
    let folder = made()?;
    let fresh = Fresh::of(suite)?;
    let before = fresh.files()?;
    let mut install = vec!["--install".to_owned()];
    // The library's dependencies are of the base system; its own package is not.
    for start in ["linpmem_", "liblinpmem0_", "liblinpmem-dev_"] {
        install.push(fresh.take(&find(&folder, start, "_amd64.deb")?)?);
    }
    let words: Vec<&str> = install.iter().map(String::as_str).collect();
    fresh.run("dpkg", &words)?;
    let audit = fresh.run("dpkg", &["--audit"])?;
    ensure!(audit.is_empty(), "{audit}");

    for program in ["linpmem-dump", "linpmem-fit", "pmem"] {
        let version = fresh.run(program, &["--version"])?;
        ensure!(
            version == format!("{program} {}\n", env!("CARGO_PKG_VERSION")),
            "{version}"
        );
        let page = fresh.run("man", &["-w", program])?;
        ensure!(
            page.trim() == format!("/usr/share/man/man1/{program}.1.gz"),
            "{page}"
        );
        // As bash does it when somebody presses Tab.
        let load = format!(
            "source /usr/share/bash-completion/completions/{program}; complete -p {program}"
        );
        contains(&fresh.shell(&load)?, &["complete ", "-F _", program])?;
    }
    contains(
        &fresh.run("man", &["linpmem-dump"])?,
        &["EXIT STATUS", "--format"],
    )?;
    let ranges = fresh.run("linpmem-dump", &["ranges"])?;
    contains(&ranges, &["System RAM"])?;
    contains(&fresh.run("ldconfig", &["-p"])?, &["liblinpmem.so.0"])?;
    if suite == "trixie" {
        compiles(&fresh)?;
    }

    fresh.run(
        "dpkg",
        &["--remove", "linpmem", "liblinpmem-dev", "liblinpmem0"],
    )?;
    fresh.run(
        "dpkg",
        &["--purge", "linpmem", "liblinpmem-dev", "liblinpmem0"],
    )?;
    let after = fresh.files()?;
    let left: Vec<_> = after
        .iter()
        .filter(|file| before.get(file.0) != Some(file.1))
        .collect();
    ensure!(left.is_empty(), "{suite}: left or changed: {left:?}");
    let gone: Vec<_> = before
        .keys()
        .filter(|file| !after.contains_key(*file))
        .collect();
    ensure!(gone.is_empty(), "{suite}: gone: {gone:?}");
    println!("{suite}: {} files before and after", after.len());
    Ok(())
}

/// The example, against the shared library and the static one, found by pkg-config. There is no
/// device, for which the example ends with 2, and the library says so.
fn compiles(fresh: &Fresh) -> Result<()> {
    let example = fresh.take(&checkout::dir().join("examples/c/memory.c"))?;
    for (name, link) in [
        ("shared", "$(pkg-config --cflags --libs linpmem)"),
        (
            "static",
            "-static $(pkg-config --cflags --libs --static linpmem)",
        ),
    ] {
        fresh.shell(&format!(
            "cc -Wall -Werror {example} {link} -o /root/{name}"
        ))?;
        let output = fresh
            .command(&format!("/root/{name}"))
            .arg("0x100000")
            .output();
        let output = output.context("starting the example")?;
        ensure!(
            output.status.code() == Some(2),
            "{name}: {:?}",
            output.status
        );
        contains(&String::from_utf8_lossy(&output.stderr), &["/dev/linpmem"])?;
    }
    let needed = fresh.shell("ldd /root/shared")?;
    contains(
        &needed,
        &["liblinpmem.so.0 => /lib/x86_64-linux-gnu/liblinpmem.so.0"],
    )
}
