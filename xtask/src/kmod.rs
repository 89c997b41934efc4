// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building `linpmem.ko`, and checking that its kernel exports every symbol that it
//! imports.

use crate::object;
use crate::setup::{self, Part, compilers, kdir, kernels};
use anyhow::{Context, Result, bail, ensure};
use goblin::elf::{Elf, section_header::SHN_UNDEF, sym::STB_WEAK};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use linpmem_testkit::kernel::Kernel;
use linpmem_testkit::modinfo;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// The command line of `cargo xtask kmod`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A kernel build folder with rust/ metadata [default: the one in the cache]
    #[arg(long, value_name = "DIR", conflicts_with = "release")]
    kdir: Option<PathBuf>,
    /// The release of another kernel; its build folder is made as by `cargo xtask kdir`
    #[arg(long)]
    release: Option<String>,
    /// The architecture of the default kernel: x86_64 or aarch64
    #[arg(long, conflicts_with_all = ["kdir", "release", "prebuilt"], default_value = "x86_64", value_name = "ARCH")]
    arch: Arch,
    /// Build the tests' own modules instead, and print the path of the first
    #[arg(long)]
    for_tests: bool,
    /// Build the object that `linpmem-fit` fits to any kernel instead
    #[arg(long, conflicts_with_all = ["kdir", "release", "for_tests"])]
    prebuilt: bool,
    /// Fit that object to the kernel of --release instead
    #[arg(long, requires = "release", conflicts_with_all = ["kdir", "for_tests", "prebuilt"])]
    fitted: bool,
}

/// Runs `cargo xtask kmod`.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    if args.prebuilt {
        return print(&object::build(&cache)?);
    }
    if let (true, Some(release)) = (args.fitted, &args.release) {
        return print(&fit(&cache, release)?);
    }
    let kdir = match (&args.kdir, &args.release) {
        (Some(kdir), _) => kdir.clone(),
        (None, Some(release)) => kdir::of_release(&cache, release)?,
        (None, None) => kdir::of_default(&cache, args.arch)?,
    };
    let module = if args.for_tests {
        build_for_tests(&cache, &kdir)?
    } else {
        build(&cache, &kdir)?
    };
    print(&module)
}

/// Fits the prebuilt module to a kernel of the cache, from the files of its package.
fn fit(cache: &Cache, release: &str) -> Result<PathBuf> {
    let object = fs::read(object::build(cache)?)?;
    let kernel = Kernel::find(cache, release)?;
    let sources = linpmem_fit::Sources::of_files()
        .kernel(&kernel.vmlinuz())
        .modules(&kernel.modules())
        .config(&kernel.dir().join("config"))
        .release(release);
    let fitted = linpmem_fit::fit(&object, &sources)?;
    let path = checkout::kmod_dir(release).join("fitted/linpmem.ko");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, fitted.module).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn print(module: &Path) -> Result<()> {
    let len = module.metadata()?.len();
    println!("{} ({} KiB)", module.display(), len.div_ceil(1024));
    Ok(())
}

/// A kernel build folder.
struct Kdir {
    dir: PathBuf,
    release: String,
    /// The Debian tree with the compiler that the folder was made with.
    tree: DebianTree,
}

impl Kdir {
    fn open(cache: &Cache, dir: &Path) -> Result<Self> {
        setup::ensure(cache, &[Part::Tree])?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("no kernel build folder at {}", dir.display()))?;
        let mut kdir = Self {
            dir,
            release: String::new(),
            tree: DebianTree::open(cache)?,
        };
        let at = kdir.dir.display();
        kdir.release = kdir
            .read("include/config/kernel.release")?
            .trim()
            .to_owned();
        ensure!(
            kdir.dir.join("rust/libkernel.rmeta").is_file(),
            "{at} has no rust/ metadata: `cargo xtask kdir {}` makes a folder that has",
            kdir.release
        );
        let rustc = kernels::rustc(&kdir.read(".config")?);
        let rustc = rustc.with_context(|| format!("{at} is configured without CONFIG_RUST"))?;
        kdir.tree = compilers::find(cache, &rustc, kdir.arch())?.with_context(|| {
            format!(
                "{at} was made with `{rustc}`, which no Debian tree in the cache has, and a module \
                 built by another compiler does not load. If you have that compiler, use \
                 `make -C kmod KDIR={at}`"
            )
        })?;
        Ok(kdir)
    }

    fn arch(&self) -> Arch {
        Arch::of_kernel(&self.release)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.dir.join(name);
        fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}, which every complete kernel build folder has",
                path.display()
            )
        })
    }

    /// Runs Kbuild in the Debian tree over the folder `source`, with its output in
    /// `work`. Returns the path of the module called `name` there.
    fn make(&self, source: &Path, work: &Path, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(work).with_context(|| format!("cannot create {}", work.display()))?;
        let kdir = &self.dir;
        let kernel = fs::canonicalize(kdir.join("source")).unwrap_or_else(|_| kdir.clone());
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        let mut make = self.tree.command("make", &[kdir, &kernel]);
        make.arg("-s").arg(format!("-j{jobs}")).arg("-C").arg(kdir);
        make.args(kdir::arguments(self.arch()));
        make.arg(format!("M={}", source.display()))
            .arg(format!("MO={}", work.display()));
        // `check` explains unknown symbols better.
        make.arg("KBUILD_MODPOST_WARN=1");
        // BTF for the module would need the kernel's debug symbols, and nothing uses it.
        make.arg("CONFIG_DEBUG_INFO_BTF_MODULES=")
            .arg("modules")
            .env("RUSTC_ICE", "0");
        let status = make
            .status()
            .context("cannot start make in the Debian tree")?;
        ensure!(status.success(), "make failed to build {name} ({status})");
        let built = work.join(name);
        ensure!(built.is_file(), "make left no {}", built.display());
        Ok(built)
    }
}

/// Builds the module in the Debian tree against the build folder `kdir`, and returns the
/// path of `linpmem.ko` in `target/kmod/RELEASE`.
pub fn build(cache: &Cache, kdir: &Path) -> Result<PathBuf> {
    let kdir = Kdir::open(cache, kdir)?;
    let symvers = kdir.read("Module.symvers")?;
    let out = checkout::kmod_dir(&kdir.release);
    let source = checkout::dir().join("kmod/rfl");
    let built = kdir.make(&source, &out.join("build"), "linpmem.ko")?;
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    check(&bytes, &exports(&symvers), &kdir.release)?;
    let module = out.join("linpmem.ko");
    // As in distributions' packages; the build folder keeps the debug symbols.
    let strip = match kdir.arch() {
        Arch::X86_64 => "strip",
        Arch::Aarch64 => "aarch64-linux-gnu-strip",
    };
    let mut strip = kdir.tree.command(strip, &[]);
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
        "strip failed to write {} ({status})",
        module.display()
    );
    Ok(module)
}

fn build_for_tests(cache: &Cache, kdir: &Path) -> Result<PathBuf> {
    let kdir = Kdir::open(cache, kdir)?;
    let source = checkout::dir().join("tests/kernel-modules");
    let work = checkout::kmod_dir(&kdir.release).join("for-tests");
    kdir.make(&source, &work, "linpmem_facts.ko")
}

/// Checks that `exports` has every symbol that the module `bytes` imports.
fn check(bytes: &[u8], exports: &BTreeSet<&str>, release: &str) -> Result<()> {
    let elf = Elf::parse(bytes).context("linpmem.ko is not a valid ELF file")?;
    let magic = modinfo::values(bytes, "vermagic")?.concat();
    ensure!(
        magic.split(' ').next() == Some(release),
        "linpmem.ko was built for the kernel `{magic}`, not for {release}"
    );
    let mut unknown: Vec<String> = elf
        .syms
        .iter()
        .filter(|symbol| u32::try_from(symbol.st_shndx) == Ok(SHN_UNDEF))
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
            "linpmem.ko imports {} symbols that the kernel {release} does not export:\n    {}\n\
             Rust symbols contain a hash of the compiler and its options: if the source is right, \
             the build folder was made by another compiler than the kernel",
            unknown.len(),
            unknown.join("\n    ")
        );
    }
    Ok(())
}

/// The names in a `Module.symvers`, whose columns are checksum, name, module and type.
fn exports(symvers: &str) -> BTreeSet<&str> {
    symvers
        .lines()
        .filter_map(|line| line.split('\t').nth(1))
        .collect()
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
