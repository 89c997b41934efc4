// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in the packages.

use super::published::packages;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The most bytes of a package, compressed. The engine, which is the largest, has 299 KiB.
const MOST_BYTES: u64 = 384 << 10;

/// The most bytes of one file.
const MOST_FILE_BYTES: u64 = 160 << 10;

/// What is at the top of a package, besides its source.
const TOP: &[&str] = &[
    ".cargo_vcs_info.json",
    "Cargo.lock",
    "Cargo.toml",
    "Cargo.toml.orig",
    "LICENSE-APACHE",
    "LICENSE-GPL-2.0",
    "LICENSE-MIT",
    "README.md",
    "build.rs",
    "no_unwinding.ld",
];

/// A file in a package, and its length.
fn files(archive: &Path) -> Result<Vec<(String, u64)>> {
    let mut tar = Command::new("tar");
    let output = tar.arg("-tvzf").arg(archive).output()?;
    ensure!(output.status.success(), "tar: {output:?}");
    let text = String::from_utf8(output.stdout)?;
    let file = |line: &str| -> Result<(String, u64)> {
        let mut words = line.split_whitespace();
        let len = words.nth(2).context("no length")?.parse()?;
        let path = words.last().context("no path")?;
        let (_, path) = path.split_once('/').context("no folder")?;
        Ok((path.to_owned(), len))
    };
    text.lines().map(file).collect()
}

/// Source, texts about it, and nothing else: no tests' data, no seeds of fuzzing.
#[test]
fn packages_are_small_and_hold_source_alone() -> Result<()> {
    for package in packages()? {
        let len = fs::metadata(&package.archive)?.len();
        let name = &package.name;
        println!("{name}: {} KiB compressed", len.div_ceil(1024));
        ensure!(len <= MOST_BYTES, "{name} has {len} bytes compressed");
        let files = files(&package.archive)?;
        for (path, len) in &files {
            let is_source = ["src/", "examples/"]
                .iter()
                .any(|folder| path.starts_with(folder))
                && [".rs", ".css", ".html"]
                    .iter()
                    .any(|end| path.ends_with(end));
            ensure!(
                is_source || TOP.contains(&path.as_str()),
                "{name} has {path}"
            );
            let is_long = *len > MOST_FILE_BYTES && path != "Cargo.lock";
            ensure!(!is_long, "{name} has {path} of {len} bytes");
        }
        for needed in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "Cargo.toml"] {
            let found = files.iter().any(|(path, len)| path == needed && *len > 0);
            ensure!(found, "{name} has no {needed}");
        }
    }
    Ok(())
}
