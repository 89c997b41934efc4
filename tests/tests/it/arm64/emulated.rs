// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs of arm64 read an image of x86-64, without a machine: QEMU emulates single
//! programs as well. Whatever machine a program runs on, its output is the same.

use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use linpmem_testkit::{artifacts, checkout};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Formats without a time or an identifier of their own, by extension.
const FORMATS: &[&str] = &[
    "raw", "padded", "lime", "kdump", "avml", "core", "core.zst", "lime.lz4",
];

/// The program that runs.
#[derive(Clone, Copy)]
enum Of {
    X86_64,
    Arm64,
}

impl Of {
    /// Our program, started in `folder`.
    fn command(self, folder: &Path) -> Result<Command> {
        match self {
            Self::X86_64 => {
                let mut command = host_dumper::command()?;
                command.current_dir(folder);
                Ok(command)
            }
            Self::Arm64 => {
                let arch = Arch::Aarch64;
                let tree = DebianTree::of(arch, &Cache::open()?)?;
                let mut command = tree.command(arch.emulator(), &[folder]);
                command.arg(artifacts::dumper_for(arch)?);
                command.env("WORKDIR", folder).stdin(Stdio::null());
                Ok(command)
            }
        }
    }

    /// The exit code and stdout. stderr is printed.
    fn run(self, folder: &Path, args: &[&str]) -> Result<(Option<i32>, Vec<u8>)> {
        let output = self.command(folder)?.args(args).output()?;
        println!("{args:?}: {}", host_dumper::printed(&output));
        Ok((output.status.code(), output.stdout))
    }
}

/// An image of x86-64 with Reserved memory and VMCOREINFO, in a folder of its own.
fn image(folder: &Path) -> Result<()> {
    let golden = checkout::dir().join("formats/testdata/golden/elf.core");
    let copied = fs::copy(&golden, folder.join("image.core"));
    copied.with_context(|| format!("copying {}", golden.display()))?;
    Ok(())
}

#[test]
fn programs_of_arm64_read_an_image_of_x86_64_as_those_of_x86_64_do() -> Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [x86, arm] = folders.each_ref().map(TempDir::path);
    image(x86)?;
    image(arm)?;
    let same = |args: &[&str], code: i32| -> Result<Vec<u8>> {
        let (theirs, ours) = (Of::X86_64.run(x86, args)?, Of::Arm64.run(arm, args)?);
        let said = [&theirs, &ours].map(|(_, said)| String::from_utf8_lossy(said));
        ensure!(theirs == ours, "{args:?} differs: {said:?}");
        ensure!(ours.0 == Some(code), "{args:?} ended with {:?}", ours.0);
        Ok(ours.1)
    };
    let said = same(&["info", "--json", "image.core"], 0)?;
    let said: Value = serde_json::from_slice(&said)?;
    let architecture = said.pointer("/machine/architecture");
    ensure!(architecture == Some(&json!("x86_64")), "{said}");
    same(&["info", "image.core"], 0)?;
    same(
        &["extract", "--range", "0x1000+4KiB", "image.core", "page"],
        0,
    )?;
    is_same(&[x86, arm], "page")?;
    for extension in FORMATS {
        let made = format!("made.{extension}");
        same(&["convert", "--progress", "none", "image.core", &made], 0)?;
        is_same(&[x86, arm], &made)?;
        // It says how long that took.
        for (program, folder) in [(Of::X86_64, x86), (Of::Arm64, arm)] {
            let (code, _) = program.run(folder, &["verify", &made])?;
            ensure!(code == Some(0), "verify of {made} ended with {code:?}");
        }
        same(&["compare", "image.core", &made], 0)?;
    }
    // Identifiers and times are in it.
    same(
        &["convert", "--progress", "none", "image.core", "made.aff4"],
        0,
    )?;
    same(&["compare", "image.core", "made.aff4"], 0)?;
    Ok(())
}

/// Requires that two folders have the same file `name`.
fn is_same(folders: &[&Path; 2], name: &str) -> Result<()> {
    let paths: [PathBuf; 2] = folders.map(|folder| folder.join(name));
    let [one, other] = paths.each_ref().map(fs::read);
    ensure!(one? == other?, "{name} differs");
    Ok(())
}
