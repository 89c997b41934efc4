// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building the prebuilt module, which `linpmem-fit` fits to a kernel: one object file, the
//! same bytes wherever it is built.

use crate::setup::{self, Part};
use anyhow::{Context, Result, ensure};
use goblin::elf::{Elf, reloc};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The object's file.
const OBJECT: &str = "linpmem.o";

/// As the kernel's own Rust is built: no floating point, no red zone, no unwinding, and what
/// the kernel's mitigations need of every function.
const FLAGS: &[&str] = &[
    "--edition=2021",
    "--target=x86_64-unknown-none",
    "-Copt-level=2",
    "-Ccodegen-units=1",
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cforce-unwind-tables=n",
    "-Cdebuginfo=0",
    "-Csymbol-mangling-version=v0",
    "-Zcf-protection=branch",
    "-Zfunction-return=thunk-extern",
    "-Zno-jump-tables",
    // Calls of memcpy go to the function, not through a table that modules lack.
    "-Zplt=y",
    "-Zlocation-detail=none",
    "-Ctarget-feature=+retpoline-external-thunk,+retpoline-indirect-calls,+retpoline-indirect-branches",
];

/// Stands for the crate of that name: the module has its own memcpy and memset.
const COMPILER_BUILTINS: &str = "#![allow(internal_features)]
#![feature(compiler_builtins)]
#![compiler_builtins]
#![no_builtins]
#![no_std]
";

/// Relocations that the kernel applies to modules (arch/x86/kernel/module.c).
const RELOCATIONS: &[u32] = &[
    reloc::R_X86_64_64,
    reloc::R_X86_64_32,
    reloc::R_X86_64_32S,
    reloc::R_X86_64_PC32,
    reloc::R_X86_64_PLT32,
    reloc::R_X86_64_PC64,
];

/// Where the object is built.
fn folder() -> PathBuf {
    checkout::target_dir().join("kmod/fitted")
}

/// Builds the object, unless it is up to date, and returns its path.
pub fn build(cache: &Cache) -> Result<PathBuf> {
    let kmod = checkout::dir().join("kmod");
    let inputs = folder().join("inputs");
    let wanted = sources(&kmod)?;
    let object = folder().join(OBJECT);
    if object.is_file() && fs::read(&inputs).is_ok_and(|found| found == wanted) {
        return Ok(object);
    }
    let object = build_in(cache, &kmod, &folder())?;
    fs::write(&inputs, wanted)?;
    Ok(object)
}

/// All that the object is made from, apart from the compiler.
fn sources(kmod: &Path) -> Result<Vec<u8>> {
    let mut all = FLAGS.join(" ").into_bytes();
    for folder in ["core/src", "shell", "fitted"] {
        add_files(&kmod.join(folder), &mut all)?;
    }
    Ok(all)
}

/// Adds names and contents of all files in `folder` and in the folders within.
fn add_files(folder: &Path, all: &mut Vec<u8>) -> Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            add_files(&entry, all)?;
            continue;
        }
        all.extend_from_slice(format!("\n{}\n", entry.display()).as_bytes());
        all.extend(fs::read(&entry).with_context(|| format!("cannot read {}", entry.display()))?);
    }
    Ok(())
}

/// Builds the object from the sources in `kmod`, in the folder `work`.
pub fn build_in(cache: &Cache, kmod: &Path, work: &Path) -> Result<PathBuf> {
    setup::ensure(cache, &[Part::Tree])?;
    let tree = DebianTree::open(cache)?;
    let library = core_crate(cache, &tree)?;
    fs::create_dir_all(work).with_context(|| format!("cannot create {}", work.display()))?;
    let archive = work.join("liblinpmem_fitted.a");
    let mut rustc = rustc(&tree, &[kmod, work]);
    rustc
        .args(["--crate-name=linpmem_fitted", "--crate-type=staticlib"])
        .args(["-Clto=fat", "--cfg=MODULE", "-Dwarnings"])
        .arg("--check-cfg=cfg(MODULE, CONFIG_ARM64, test)")
        .arg(format!("--remap-path-prefix={}=kmod", kmod.display()))
        .arg("-L")
        .arg(&library)
        .arg("-o")
        .arg(&archive)
        .arg(kmod.join("fitted/lib.rs"));
    run(&mut rustc, "rustc, for the prebuilt module")?;

    let object = work.join(OBJECT);
    let mut ld = tree.command("ld", &[kmod, work]);
    ld.args(["-r", "-x", "--gc-sections", "--build-id=none"])
        .args(["-u", "init_module", "-u", "cleanup_module", "-T"])
        .arg(kmod.join("fitted/object.lds"))
        .arg("-o")
        .arg(&object)
        .arg(&archive);
    run(&mut ld, "ld, for the prebuilt module")?;
    check(&fs::read(&object)?).with_context(|| format!("{} is not sound", object.display()))?;
    Ok(object)
}

/// The tree's compiler, with the features that the kernel's build uses as well.
fn rustc(tree: &DebianTree, binds: &[&Path]) -> Command {
    let mut rustc = tree.command("rustc", binds);
    rustc.env("RUSTC_BOOTSTRAP", "1").args(FLAGS);
    rustc
}

/// The folder with the crate `core`, compiled with the same flags: from the cache, or made.
fn core_crate(cache: &Cache, tree: &DebianTree) -> Result<PathBuf> {
    let version = tree.command("rustc", &[]).arg("-vV").output();
    let version = version.context("cannot start rustc in the Debian tree")?;
    let stamp = format!(
        "{}{FLAGS:?}\n{COMPILER_BUILTINS}",
        String::from_utf8_lossy(&version.stdout)
    );
    let folder = cache.dir().join("fitted-core");
    let stamp_file = folder.join("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
        return Ok(folder);
    }
    let partial = cache.dir().join("fitted-core.partial");
    for old in [&folder, &partial] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    fs::create_dir_all(&partial)?;
    let mut core = rustc(tree, &[]);
    core.args([
        "--crate-name=core",
        "--crate-type=rlib",
        "--cap-lints=allow",
    ])
    .arg("-Cembed-bitcode=y")
    .arg("--out-dir")
    .arg(&partial)
    .arg("/usr/lib/rustlib/src/rust/library/core/src/lib.rs");
    run(&mut core, "rustc, for the crate core")?;
    let source = partial.join("compiler_builtins.rs");
    fs::write(&source, COMPILER_BUILTINS)?;
    let mut builtins = rustc(tree, &[]);
    builtins
        .args(["--crate-name=compiler_builtins", "--crate-type=rlib"])
        .arg("-Cembed-bitcode=y")
        .arg("-L")
        .arg(&partial)
        .arg("--out-dir")
        .arg(&partial)
        .arg(&source);
    run(&mut builtins, "rustc, for the crate compiler_builtins")?;
    fs::write(partial.join("stamp"), stamp)?;
    fs::rename(&partial, &folder)?;
    Ok(folder)
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {what}"))?;
    ensure!(
        output.status.success(),
        "{what} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Checks what no kernel tells before the module crashes it.
fn check(object: &[u8]) -> Result<()> {
    let elf = Elf::parse(object)?;
    for (_, section) in &elf.shdr_relocs {
        for relocation in section.iter() {
            let kind = relocation.r_type;
            ensure!(
                RELOCATIONS.contains(&kind),
                "the kernel does not apply {}",
                reloc::r_to_str(kind, elf.header.e_machine)
            );
        }
    }
    for name in ["init_module", "cleanup_module"] {
        let entry = elf
            .syms
            .iter()
            .find(|symbol| elf.strtab.get_at(symbol.st_name) == Some(name));
        let entry = entry.with_context(|| format!("it has no {name}"))?;
        let section = elf.section_headers.get(entry.st_shndx);
        let section = section.with_context(|| format!("{name} is in no section"))?;
        let start = usize::try_from(section.sh_offset + entry.st_value)?;
        ensure!(
            object.get(start..start + 4) == Some(&[0xf3, 0x0f, 0x1e, 0xfa]),
            "{name} does not begin with ENDBR64"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another folder and other names of the files' folder, the same bytes.
    #[test]
    fn the_object_is_the_same_wherever_it_is_built() {
        let cache = Cache::open().unwrap();
        let top = tempfile::tempdir().unwrap();
        let elsewhere = top.path().join("a/longer path");
        copy_tree(&checkout::dir().join("kmod"), &elsewhere).unwrap();
        let first = build_in(&cache, &checkout::dir().join("kmod"), &top.path().join("1")).unwrap();
        let second = build_in(&cache, &elsewhere, &top.path().join("2")).unwrap();
        let (first, second) = (fs::read(first).unwrap(), fs::read(second).unwrap());
        assert!(first.len() > 10_000);
        assert!(first == second, "the object depends on where it is built");
    }

    #[test]
    fn a_change_in_a_folder_within_the_sources_is_noticed() {
        let kmod = tempfile::tempdir().unwrap();
        for folder in ["core/src/walk", "shell", "fitted"] {
            fs::create_dir_all(kmod.path().join(folder)).unwrap();
        }
        let file = kmod.path().join("core/src/walk/x86.rs");
        fs::write(&file, "before").unwrap();
        let before = sources(kmod.path()).unwrap();
        fs::write(&file, "after").unwrap();
        assert_ne!(sources(kmod.path()).unwrap(), before);
    }

    #[test]
    fn an_object_that_would_crash_the_kernel_is_refused() {
        let cache = Cache::open().unwrap();
        let top = tempfile::tempdir().unwrap();
        let object = build_in(&cache, &checkout::dir().join("kmod"), top.path()).unwrap();
        let object = fs::read(object).unwrap();
        check(&object).unwrap();
        let mut without_endbr = object.clone();
        for at in 0..without_endbr.len() - 4 {
            if without_endbr[at..at + 4] == [0xf3, 0x0f, 0x1e, 0xfa] {
                without_endbr[at] = 0x90;
            }
        }
        let error = check(&without_endbr).unwrap_err().to_string();
        assert!(error.contains("ENDBR64"), "{error}");
    }

    fn copy_tree(from: &Path, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                copy_tree(&entry.path(), &target)?;
            } else if entry
                .path()
                .extension()
                .is_some_and(|end| end == "rs" || end == "lds")
            {
                fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    }
}
