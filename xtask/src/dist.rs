// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is released: static programs, which run on any x86-64 Linux, the library
//! for C, manual pages and completions.

mod library;

pub use library::{Library, build as build_library};

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goblin::elf::{Elf, program_header::PT_INTERP};

use crate::checkout;

/// The command line of `cargo xtask dist`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only compile; `target/dist` stays as it is
    #[arg(long)]
    build_only: bool,
}

/// Named in full, so that the flags below are not those of build scripts too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Packages and their binaries of the same name.
const BINARIES: &[&str] = &["linpmem-dump", "pmem"];

/// Shells, with the file of their completions for `pmem`.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "pmem.bash"),
    ("zsh", "_pmem"),
    ("fish", "pmem.fish"),
];

/// Runs `cargo xtask dist`.
///
/// # Errors
/// As [`build`].
pub fn run(args: &Args) -> Result<()> {
    if args.build_only {
        compile()?;
        return library::compile().map(|_| ());
    }
    for path in build()? {
        let len = path.metadata()?.len();
        println!("{} ({} KiB, static)", path.display(), len.div_ceil(1024));
    }
    let library = build_library()?;
    for path in [library.archive(), library.shared()] {
        let len = path.metadata()?.len();
        println!("{} ({} KiB)", path.display(), len.div_ceil(1024));
    }
    println!("{}", library.include.join("linpmem.h").display());
    manual()
}

/// Lets `pmem` write its manual pages and completions.
fn manual() -> Result<()> {
    let share = checkout::dist_dir().join("share");
    let pmem = checkout::dist_dir().join("pmem");
    let pages = share.join("man/man1");
    let status = Command::new(&pmem).arg("man").arg(&pages).status()?;
    ensure!(
        status.success(),
        "pmem, writing its manual, ended with {status}"
    );
    let folder = share.join("completions");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (shell, file) in COMPLETIONS {
        let output = Command::new(&pmem).args(["completions", shell]).output()?;
        ensure!(
            output.status.success(),
            "pmem has no completions for {shell}"
        );
        fs::write(folder.join(file), output.stdout)?;
    }
    println!("{} and {}", pages.display(), folder.display());
    Ok(())
}

fn compile() -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout::dir());
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        TARGET,
    ]);
    for name in BINARIES {
        cargo.args(["--package", name, "--bin", name]);
    }
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    cargo.env(
        "RUSTFLAGS",
        format!("{flags} -C target-feature=+crt-static").trim(),
    );
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(
        status.success(),
        "cargo, building the release binaries, ended with {status}"
    );
    Ok(())
}

/// Builds all binaries into `target/dist`; their paths.
///
/// # Errors
/// When one cannot be built, or is not static.
pub fn build() -> Result<Vec<PathBuf>> {
    compile()?;
    let dist = checkout::dist_dir();
    fs::create_dir_all(&dist).with_context(|| format!("cannot make {}", dist.display()))?;
    let place = |name: &&str| {
        let built = checkout::target_dir()
            .join(TARGET)
            .join("release")
            .join(name);
        let bytes =
            fs::read(&built).with_context(|| format!("cargo left no {}", built.display()))?;
        check_static(&bytes).with_context(|| format!("{} is not static", built.display()))?;
        let path = dist.join(name);
        let partial = dist.join(format!("{name}.partial"));
        fs::copy(&built, &partial)
            .and_then(|_| fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    BINARIES.iter().map(place).collect()
}

fn check_static(bytes: &[u8]) -> Result<()> {
    let elf = Elf::parse(bytes)?;
    let interpreted = elf
        .program_headers
        .iter()
        .any(|header| header.p_type == PT_INTERP);
    ensure!(
        !interpreted,
        "it asks for the dynamic loader {}",
        elf.interpreter.unwrap_or("?")
    );
    ensure!(
        elf.libraries.is_empty(),
        "it needs {}",
        elf.libraries.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_told_apart() {
        // Tests are linked dynamically, with the machine's C library.
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        assert!(check_static(&own).is_err());
    }
}
