// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building `linpmem.ko`, and the gate it has to pass: a kernel exports every
//! symbol that the module asks for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use goblin::elf::{Elf, section_header::SHN_UNDEF, sym::STB_WEAK};

use crate::cache::Cache;
use crate::checkout;
use crate::kdir;
use crate::root::Root;
use crate::setup::kernels::config_value;
use crate::setup::{self, Part};

/// The command line of `cargo xtask kmod`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A kernel build folder with rust/ metadata [default: the one in the cache]
    #[arg(long, value_name = "DIR", conflicts_with = "release")]
    kdir: Option<PathBuf>,
    /// The release of another kernel, whose build folder `cargo xtask kdir` makes
    #[arg(long)]
    release: Option<String>,
}

/// Runs `cargo xtask kmod`.
///
/// # Errors
/// When the module cannot be built or does not fit its kernel.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let module = match (&args.kdir, &args.release) {
        (Some(kdir), _) => build(&cache, kdir)?,
        (None, Some(release)) => build(&cache, &kdir::of_release(&cache, release)?)?,
        (None, None) => build_default(&cache)?,
    };
    let len = module.metadata()?.len();
    println!("{} ({} KiB)", module.display(), len.div_ceil(1024));
    Ok(())
}

/// Builds the module for the cache's default kernel; its path.
///
/// # Errors
/// As [`build`].
pub fn build_default(cache: &Cache) -> Result<PathBuf> {
    let (_, kdir) = kdir::of_default(cache)?;
    build(cache, &kdir)
}

/// Builds the module in the Debian tree against the build folder `kdir`; the
/// path of `linpmem.ko`, in `target/kmod/RELEASE`.
///
/// # Errors
/// When the folder is not fit for it, the build fails, or the module asks for
/// symbols that the kernel does not export.
pub fn build(cache: &Cache, kdir: &Path) -> Result<PathBuf> {
    setup::ensure(cache, &[Part::Root])?;
    let kdir = kdir
        .canonicalize()
        .with_context(|| format!("no kernel build folder at {}", kdir.display()))?;
    let read = |name: &str| {
        let path = kdir.join(name);
        fs::read_to_string(&path).with_context(|| {
            format!(
                "{} is missing: that is no kernel build folder, or a bare one",
                path.display()
            )
        })
    };
    let release = read("include/config/kernel.release")?.trim().to_owned();
    let symvers = read("Module.symvers")?;
    let exports = exports(&symvers);
    let config = read(".config")?;
    ensure!(
        kdir.join("rust/libkernel.rmeta").is_file(),
        "{} has no rust/ metadata: `cargo xtask kdir {release}` makes a folder that has",
        kdir.display()
    );
    let root = Root::open(cache)?;
    let compiler = root.command("rustc", &[]).arg("--version").output()?.stdout;
    let compiler = String::from_utf8_lossy(&compiler);
    let wanted = config_value(&config, "CONFIG_RUSTC_VERSION_TEXT").unwrap_or_default();
    ensure!(
        compiler.trim() == wanted.trim_matches('"'),
        "{} was made with {wanted}, but the Debian tree has `{}`: a module built by another \
         compiler does not load. With the right one at hand, use `make -C kmod KDIR={}`",
        kdir.display(),
        compiler.trim(),
        kdir.display()
    );

    let out = checkout::kmod_dir(&release);
    let source = checkout::dir().join("kmod/rfl");
    let built = make(&root, &kdir, &source, &out.join("build"), "linpmem.ko")?;
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    check(&bytes, &exports, &release)?;
    let module = out.join("linpmem.ko");
    // As distributions ship theirs; the build folder keeps the debug symbols.
    let mut strip = root.command("strip", &[]);
    strip
        .arg("--strip-debug")
        .arg("-o")
        .arg(&module)
        .arg(&built);
    let status = strip
        .status()
        .context("cannot start strip in the Debian tree")?;
    ensure!(
        status.success(),
        "strip, writing {}, ended with {status}",
        module.display()
    );
    Ok(module)
}

/// Builds the module that tells the tests kernel addresses; its path.
///
/// # Errors
/// When there is no build folder for `release`, or the build fails.
pub fn build_facts(cache: &Cache, release: &str) -> Result<PathBuf> {
    let kdir = kdir::of_release(cache, release)?;
    let source = checkout::dir().join("tests/facts-module");
    let work = checkout::kmod_dir(release).join("facts");
    make(
        &Root::open(cache)?,
        &kdir,
        &source,
        &work,
        "linpmem_facts.ko",
    )
}

/// Runs Kbuild in the Debian tree over the folder `source`, with all that it
/// makes in `work`; the path of the module called `name` there.
fn make(root: &Root, kdir: &Path, source: &Path, work: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(work).with_context(|| format!("cannot make {}", work.display()))?;
    let kernel = fs::canonicalize(kdir.join("source")).unwrap_or_else(|_| kdir.to_path_buf());
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut make = root.command("make", &[kdir, &kernel]);
    make.arg("-s").arg(format!("-j{jobs}")).arg("-C").arg(kdir);
    make.arg(format!("M={}", source.display()))
        .arg(format!("MO={}", work.display()));
    // Unknown symbols are named below, in words.
    make.arg("KBUILD_MODPOST_WARN=1");
    // Type information for a module takes the kernel's whole debug symbols, and
    // nothing asks for it.
    make.arg("CONFIG_DEBUG_INFO_BTF_MODULES=")
        .arg("modules")
        .env("RUSTC_ICE", "0");
    let status = make
        .status()
        .context("cannot start make in the Debian tree")?;
    ensure!(
        status.success(),
        "make, building {name}, ended with {status}"
    );
    let built = work.join(name);
    ensure!(built.is_file(), "make left no {}", built.display());
    Ok(built)
}

/// The gate: what the module `bytes` asks for, `exports` must hold.
fn check(bytes: &[u8], exports: &BTreeSet<&str>, release: &str) -> Result<()> {
    let elf = Elf::parse(bytes).context("linpmem.ko is no sound ELF file")?;
    let magic = modinfo(bytes, &elf, "vermagic").unwrap_or_default();
    ensure!(
        magic.split(' ').next() == Some(release),
        "linpmem.ko is for the kernel `{magic}`, not for {release}"
    );
    let mut unknown: Vec<String> = elf
        .syms
        .iter()
        .filter(|symbol| symbol.st_shndx == usize::try_from(SHN_UNDEF).unwrap_or_default())
        .filter(|symbol| symbol.st_bind() != STB_WEAK)
        .filter_map(|symbol| elf.strtab.get_at(symbol.st_name))
        .filter(|name| !name.is_empty() && !exports.contains(name))
        .map(|name| match rustc_demangle::try_demangle(name) {
            Ok(readable) => format!("{readable:#}  ({name})"),
            Err(_) => name.to_owned(),
        })
        .collect();
    unknown.sort();
    if !unknown.is_empty() {
        bail!(
            "linpmem.ko asks for symbols ({}) that the kernel {release} does not export:\n    {}\n\
             Rust symbols carry a hash of the compiler and its options: when the source is right, \
             the build folder was made by another compiler than the kernel",
            unknown.len(),
            unknown.join("\n    ")
        );
    }
    Ok(())
}

/// The names in a `Module.symvers`: checksum, name, where from, how exported.
fn exports(symvers: &str) -> BTreeSet<&str> {
    symvers
        .lines()
        .filter_map(|line| line.split('\t').nth(1))
        .collect()
}

/// The value of `name` in the section `.modinfo`: strings `name=value`.
fn modinfo<'a>(bytes: &'a [u8], elf: &Elf<'_>, name: &str) -> Option<&'a str> {
    let section = elf
        .section_headers
        .iter()
        .find(|section| elf.shdr_strtab.get_at(section.sh_name) == Some(".modinfo"))?;
    let strings = bytes.get(section.file_range()?)?;
    strings
        .split(|byte| *byte == 0)
        .filter_map(|string| std::str::from_utf8(string).ok())
        .find_map(|string| string.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_the_second_column() {
        let symvers = "0x00000000\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n\
                       0x00000000\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n";
        assert_eq!(exports(symvers), BTreeSet::from(["_printk", "kfree"]));
    }
}
