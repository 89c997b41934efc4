// SPDX-License-Identifier: MIT OR Apache-2.0
//! The released files: static programs that run on any Linux of their architecture, the
//! library for C, manual pages and completions.

mod flags;
mod library;

pub use library::pkg_config;

use crate::object;
use crate::setup::{self, Part as SetupPart};
use anyhow::{Context, Result, ensure};
use goblin::elf::header::{EM_AARCH64, EM_X86_64};
use goblin::elf::{Elf, program_header::PT_INTERP};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::build_kind::BuildKind;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::cross;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command line of `cargo xtask dist`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Build only this
    part: Option<Part>,
    /// The architecture that the files are for: x86_64, or aarch64 into target/dist/aarch64
    #[arg(long, default_value = "x86_64", value_name = "ARCH")]
    target: Arch,
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

/// The program that is carried to machines.
const DUMPER: &str = "linpmem-dump";

/// The most bytes that it may have: what is carried there replaces memory that is to be read.
const MOST_DUMPER_BYTES: u64 = 9 << 20;

/// The programs, with the packages that they are in.
const PROGRAMS: [(&str, &str); 3] = [
    (DUMPER, "linpmem-dump"),
    ("pmem", "linpmem-pmem"),
    ("linpmem-fit", "linpmem-fit-cli"),
];

/// The programs that an architecture has. The prebuilt module that linpmem-fit fits is one
/// for x86-64.
fn programs(arch: Arch) -> &'static [(&'static str, &'static str)] {
    match arch {
        Arch::X86_64 => &PROGRAMS,
        Arch::Aarch64 => match BuildKind::of(arch) {
            BuildKind::Release => PROGRAMS.split_at(2).0,
            BuildKind::Quick => PROGRAMS.split_at(1).0,
        },
    }
}

/// The packages of the programs that an architecture has.
pub fn packages(arch: Arch) -> impl Iterator<Item = &'static str> {
    programs(arch).iter().map(|(_, package)| *package)
}

/// The package of the library for C.
pub const LIBRARY: &str = "linpmem-capi";

/// Builds the library for C into `target/dist`.
pub fn build_library(arch: Arch) -> Result<()> {
    library::build(arch).map(drop)
}

/// Runs `cargo xtask dist`.
pub fn run(args: &Args) -> Result<()> {
    let arch = args.target;
    if arch != Arch::HOST {
        setup::ensure(&Cache::open()?, &[SetupPart::Arm64Tree])?;
    }
    let has = |part| args.part.is_none_or(|only| only == part);
    if args.build_only {
        if has(Part::Programs) {
            compile(arch)?;
        }
        if has(Part::Library) {
            library::compile(arch)?;
        }
        return Ok(());
    }
    let print = |path: &Path| -> Result<()> {
        let len = path.metadata()?.len();
        println!("{} ({} KiB)", path.display(), len.div_ceil(1024));
        Ok(())
    };
    if has(Part::Programs) {
        for path in build_programs_for(arch)? {
            print(&path)?;
        }
    }
    if has(Part::Library) {
        for path in library::build(arch)? {
            print(&path)?;
        }
    }
    match args.part {
        // Those of the host's programs are about the others as well.
        None if arch == Arch::HOST => manuals(),
        _ => Ok(()),
    }
}

/// Has the programs write their manual pages and completions.
pub fn manuals() -> Result<()> {
    let share = checkout::dist_dir().join("share");
    let pages = share.join("man/man1");
    let folder = share.join("completions");
    for folder in [&pages, &folder] {
        // A page of a command that is gone does not stay.
        setup::folder::remove(folder)?;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
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

fn compile(arch: Arch) -> Result<()> {
    let mut cargo = cross::cargo(arch)?;
    cargo
        .args(["build", "--quiet", "--locked"])
        .args(BuildKind::of(arch).arguments())
        .arg("--target")
        .arg(arch.target())
        .arg("--target-dir")
        .arg(cross::target_dir(arch));
    for (name, package) in programs(arch) {
        cargo.args(["--package", package, "--bin", name]);
    }
    if arch == Arch::X86_64 {
        // The programs carry the module that fits every kernel.
        cargo.env("LINPMEM_FITTED_OBJECT", object::build(&Cache::open()?)?);
    }
    flags::set(&mut cargo, arch, &["-Ctarget-feature=+crt-static"])?;
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(
        status.success(),
        "cargo failed to build the programs ({status})"
    );
    Ok(())
}

/// Builds the host's programs into `target/dist`, and returns their paths in the order of
/// [`PROGRAMS`].
pub fn build_programs() -> Result<[PathBuf; 3]> {
    build_programs_for(Arch::HOST)?;
    let dist = checkout::dist_dir();
    Ok(PROGRAMS.map(|(name, _)| dist.join(name)))
}

/// Builds the programs of an architecture, and returns their paths.
pub fn build_programs_for(arch: Arch) -> Result<Vec<PathBuf>> {
    compile(arch)?;
    let built = cross::target_dir(arch)
        .join(arch.target())
        .join(BuildKind::of(arch).folder());
    let dist = checkout::dist_dir_of(arch);
    fs::create_dir_all(&dist).with_context(|| format!("cannot create {}", dist.display()))?;
    for (name, _) in programs(arch) {
        let built = built.join(name);
        let bytes =
            fs::read(&built).with_context(|| format!("cargo left no {}", built.display()))?;
        check_static(&bytes, arch)
            .and_then(|()| match BuildKind::of(arch) {
                BuildKind::Release => check_stripped(&bytes),
                BuildKind::Quick => Ok(()),
            })
            .and_then(|()| match (BuildKind::of(arch), *name) {
                (BuildKind::Release, DUMPER) => check_dumper(&built, &bytes, arch),
                _ => Ok(()),
            })
            .with_context(|| format!("{} is not as it must be", built.display()))?;
        copy(&built, &dist.join(name))?;
    }
    let paths = programs(arch).iter().map(|(name, _)| dist.join(name));
    Ok(paths.collect())
}

/// Copies a file, which appears complete or not at all.
fn copy(from: &Path, to: &Path) -> Result<()> {
    // With a name of its own: two runs may do the same at the same time.
    let copied = || -> io::Result<()> {
        let folder = to.parent().unwrap_or(Path::new("."));
        let partial = tempfile::NamedTempFile::new_in(folder)?;
        fs::copy(from, partial.path())?;
        partial.persist(to)?;
        Ok(())
    };
    copied().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Checks that a program runs on every Linux of its architecture.
fn check_static(bytes: &[u8], arch: Arch) -> Result<()> {
    let elf = Elf::parse(bytes)?;
    let machine = match arch {
        Arch::X86_64 => EM_X86_64,
        Arch::Aarch64 => EM_AARCH64,
    };
    ensure!(
        elf.header.e_machine == machine,
        "it is for another architecture (ELF machine {})",
        elf.header.e_machine
    );
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

/// Checks that a program carries no symbols, which nobody who runs it needs.
fn check_stripped(bytes: &[u8]) -> Result<()> {
    let symbols = Elf::parse(bytes)?.syms.len();
    ensure!(
        symbols == 0,
        "it has {symbols} symbols: it was not stripped"
    );
    Ok(())
}

/// Checks what holds for the program that is carried to machines alone.
fn check_dumper(program: &Path, bytes: &[u8], arch: Arch) -> Result<()> {
    check_size(bytes, MOST_DUMPER_BYTES)?;
    match arch == Arch::HOST {
        true => check_backtrace(program),
        false => Ok(()),
    }
}

/// Checks that a program outlives the backtrace that an error asks for if RUST_BACKTRACE is set,
/// though it has no tables for unwinding but the unwinder's own.
fn check_backtrace(program: &Path) -> Result<()> {
    let output = Command::new(program)
        .args(["info", "/dev/null/none"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(
        output.status.code() == Some(1),
        "with RUST_BACKTRACE=1, an error ends it with {} instead of exit code 1: the tables of the \
         unwinder itself are missing (dumper/no_unwinding.ld)",
        output.status
    );
    Ok(())
}

/// Checks that a program has `most` bytes at most.
fn check_size(bytes: &[u8], most: u64) -> Result<()> {
    let len = u64::try_from(bytes.len())?;
    ensure!(
        len <= most,
        "it has {len} bytes, {} more than the {most} that it may have: look for what has grown \
         (docs/performance.md)",
        len.saturating_sub(most)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;

    #[test]
    fn a_program_that_is_too_large_is_refused() {
        let mut program = vec![0; usize::try_from(MOST_DUMPER_BYTES).unwrap()];
        check_size(&program, MOST_DUMPER_BYTES).unwrap();
        program.extend([0; 5]);
        let error = check_size(&program, MOST_DUMPER_BYTES).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("9437189 bytes, 5 more"), "{error}");
    }

    #[test]
    fn symbols_are_detected() {
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        let error = check_stripped(&own).unwrap_err().to_string();
        assert!(error.contains("not stripped"), "{error}");
    }

    #[test]
    fn a_dynamic_program_and_one_for_another_machine_are_detected() {
        // Tests are linked dynamically, with the machine's C library.
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        let error = check_static(&own, Arch::HOST).unwrap_err().to_string();
        assert!(error.contains("dynamic loader"), "{error}");
        let error = check_static(&own, Arch::Aarch64).unwrap_err().to_string();
        assert!(error.contains("another architecture"), "{error}");
    }
}
