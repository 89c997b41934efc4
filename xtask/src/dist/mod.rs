// SPDX-License-Identifier: MIT OR Apache-2.0
//! The released files: static programs that run on any x86-64 Linux, the library for C,
//! manual pages and completions.

mod library;

use crate::object;
use anyhow::{Context, Result, ensure};
use goblin::elf::{Elf, program_header::PT_INTERP};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command line of `cargo xtask dist`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Build only this
    part: Option<Part>,
    /// Compile, but leave target/dist as it is
    #[arg(long)]
    build_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// linpmem-dump, pmem and linpmem-fit
    Programs,
    /// The library for C
    Library,
}

/// Named explicitly, so that the flags below do not apply to build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The programs, with the packages that they are in.
const PROGRAMS: [(&str, &str); 3] = [
    ("linpmem-dump", "linpmem-dump"),
    ("pmem", "pmem"),
    ("linpmem-fit", "linpmem-fit-cli"),
];

/// Runs `cargo xtask dist`.
pub fn run(args: &Args) -> Result<()> {
    let has = |part| args.part.is_none_or(|only| only == part);
    if args.build_only {
        if has(Part::Programs) {
            compile()?;
        }
        if has(Part::Library) {
            library::compile()?;
        }
        return Ok(());
    }
    let print = |path: &Path| -> Result<()> {
        let len = path.metadata()?.len();
        println!("{} ({} KiB)", path.display(), len.div_ceil(1024));
        Ok(())
    };
    if has(Part::Programs) {
        for path in build_programs()? {
            print(&path)?;
        }
    }
    if has(Part::Library) {
        for path in library::build()? {
            print(&path)?;
        }
    }
    match args.part {
        None => manuals(),
        Some(_) => Ok(()),
    }
}

/// Has the programs write their manual pages and completions.
fn manuals() -> Result<()> {
    let share = checkout::dist_dir().join("share");
    let pages = share.join("man/man1");
    let folder = share.join("completions");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, _) in PROGRAMS {
        let program = checkout::dist_dir().join(name);
        let status = Command::new(&program).arg("man").arg(&pages).status()?;
        ensure!(status.success(), "`{name} man` failed ({status})");
        for shell in ["bash", "zsh", "fish"] {
            let output = Command::new(&program)
                .args(["completions", shell])
                .output()?;
            ensure!(
                output.status.success(),
                "`{name} completions {shell}` failed ({})",
                output.status
            );
            fs::write(folder.join(completions_name(name, shell)), output.stdout)?;
        }
    }
    println!("{} and {}", pages.display(), folder.display());
    Ok(())
}

/// The name that `shell` expects the completions for `program` to have.
fn completions_name(program: &str, shell: &str) -> String {
    match shell {
        "zsh" => format!("_{program}"),
        shell => format!("{program}.{shell}"),
    }
}

fn compile() -> Result<()> {
    let mut cargo = checkout::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        TARGET,
    ]);
    for (name, package) in PROGRAMS {
        cargo.args(["--package", package, "--bin", name]);
    }
    // The programs carry the module that fits every kernel.
    cargo.env("LINPMEM_FITTED_OBJECT", object::build(&Cache::open()?)?);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    cargo.env(
        "RUSTFLAGS",
        format!("{flags} -C target-feature=+crt-static").trim(),
    );
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(
        status.success(),
        "cargo failed to build the programs ({status})"
    );
    Ok(())
}

/// Builds the programs into `target/dist`, and returns their paths in the order of
/// [`PROGRAMS`].
pub fn build_programs() -> Result<[PathBuf; 3]> {
    compile()?;
    let built = checkout::target_dir().join(TARGET).join("release");
    let dist = checkout::dist_dir();
    fs::create_dir_all(&dist).with_context(|| format!("cannot create {}", dist.display()))?;
    for (name, _) in PROGRAMS {
        let built = built.join(name);
        let bytes =
            fs::read(&built).with_context(|| format!("cargo left no {}", built.display()))?;
        check_static(&bytes).with_context(|| format!("{} is not static", built.display()))?;
        copy(&built, &dist.join(name))?;
    }
    Ok(PROGRAMS.map(|(name, _)| dist.join(name)))
}

/// Copies a file, which appears complete or not at all.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let partial = to.with_extension("partial");
    fs::copy(from, &partial)
        .and_then(|_| fs::rename(&partial, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn check_static(bytes: &[u8]) -> Result<()> {
    let elf = Elf::parse(bytes)?;
    let is_dynamic = elf
        .program_headers
        .iter()
        .any(|header| header.p_type == PT_INTERP);
    ensure!(
        !is_dynamic,
        "it needs the dynamic loader {}",
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
    fn a_dynamic_program_is_detected() {
        // Tests are linked dynamically, with the machine's C library.
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        assert!(check_static(&own).is_err());
    }
}
