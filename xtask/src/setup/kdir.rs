// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel build folders with the `rust/` metadata, which no Debian package has: rebuilt
//! from the kernel's own source, configuration and compiler.

use super::archive::Suite;
use super::lock::Lock;
use super::task::{Log, task};
use super::{Part, compilers, fingerprint, folder, kernels};
use anyhow::{Context, Result, bail, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// The command line of `cargo xtask kdir`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A kernel release, as `uname -r` prints it [default: the cache's default kernel]
    #[arg(conflicts_with = "running")]
    release: Option<String>,
    /// The kernel that this machine is running
    #[arg(long)]
    running: bool,
    /// The architecture of the default kernel: x86_64 or aarch64
    #[arg(long, conflicts_with_all = ["release", "running"], default_value = "x86_64", value_name = "ARCH")]
    arch: Arch,
}

/// Suites that may have a kernel with Rust.
const SUITES: &[&str] = &["trixie-backports", "trixie", "testing", "sid"];

/// Files that the build of a module needs.
const FILES: &[&str] = &[
    ".config",
    "Makefile",
    "Module.symvers",
    "include/generated/autoconf.h",
    "include/config/auto.conf",
    "rust/libkernel.rmeta",
    "rust/libmacros.so",
    "scripts/mod/modpost",
    "scripts/module.lds",
];

/// What some architectures have besides.
fn more_files(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["tools/objtool/objtool"],
        Arch::Aarch64 => &[],
    }
}

/// What tells Kbuild, and with it every build of a module, the architecture.
pub fn arguments(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &[],
        Arch::Aarch64 => &["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"],
    }
}

const FINGERPRINT: &str = ".stamp.json";

/// Source files that the build of a module never reads. The Kconfig files next to them
/// stay, as the configuration is read from all of them.
const LEFT_OUT: &[&str] = &[
    "drivers/*.[cS]",
    "drivers/gpu/*.h",
    "fs/*.[ch]",
    "net/*.[ch]",
    "sound/*.[ch]",
    "Documentation/*/*",
    "tools/perf/*",
    "tools/testing/*",
];

/// The source of other architectures.
fn other_architectures(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["arch/[a-wyz]*/*.[chS]", "arch/xtensa/*.[chS]"],
        Arch::Aarch64 => &[
            "arch/[b-z]*/*.[chS]",
            "arch/al*/*.[chS]",
            "arch/arc/*.[chS]",
            "arch/arm/*.[chS]",
        ],
    }
}

/// What a build folder is made from.
struct Ingredients {
    /// As `uname -r` prints it.
    release: String,
    /// The version of the kernel's package.
    version: String,
    /// The compiler that built the kernel.
    rustc: String,
    /// The folder of the header package's `.config` and `Module.symvers`.
    headers: PathBuf,
}

/// Runs `cargo xtask kdir`.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let release = if args.running {
        let uname = rustix::system::uname();
        Some(uname.release().to_string_lossy().into_owned())
    } else {
        args.release.clone()
    };
    let dir = match release {
        None => of_default(&cache, args.arch)?,
        Some(release) => of_release(&cache, &release)?,
    };
    println!("{}", dir.display());
    Ok(())
}

/// The build folder of the default kernel of an architecture, made if it is missing.
pub fn of_default(cache: &Cache, arch: Arch) -> Result<PathBuf> {
    if arch != Arch::HOST {
        let kernel = super::ensure_kernel(cache, &KernelPackage::newest_of(arch))?;
        return of_release(cache, kernel.release());
    }
    super::ensure(cache, &[Part::Tree, Part::Kernel, Part::Kdir])?;
    Ok(cache.kdir(Kernel::default(cache)?.release()))
}

/// The build folder of the kernel `release`, made if it is missing: from the headers and
/// the source installed on this machine, else from the first suite that has the kernel.
pub fn of_release(cache: &Cache, release: &str) -> Result<PathBuf> {
    super::ensure(cache, &[Part::Tree])?;
    let dir = cache.kdir(release);
    let cached = Kernel::find(cache, release).ok();
    if cached
        .as_ref()
        .is_some_and(|kernel| check(cache, kernel).is_ok())
    {
        return Ok(dir);
    }
    let _lock = Lock::take(cache)?;
    if cached.is_none() && of_installed(cache, release)? {
        return Ok(dir);
    }
    let kernel = match cached {
        Some(kernel) => kernel,
        None => kernels::download(cache, &find_package(cache, release)?)?,
    };
    make(cache, &kernel)?;
    Ok(dir)
}

/// Checks that the kernel's build folder is complete. The error says what is wrong.
pub fn check(cache: &Cache, kernel: &Kernel) -> Result<(), String> {
    let ingredients = Ingredients::of(kernel).map_err(|error| error.to_string())?;
    ingredients.check(cache)
}

/// Makes the build folder of a kernel in the cache, unless it is complete. The caller
/// holds the lock.
pub fn make(cache: &Cache, kernel: &Kernel) -> Result<()> {
    let ingredients = Ingredients::of(kernel)?;
    if ingredients.check(cache).is_ok() {
        return Ok(());
    }
    let facts = kernel.facts();
    let arch = ingredients.arch();
    let tree = compilers::of_suite(cache, &ingredients.rustc, &facts.package.suite, arch)
        .with_context(|| format!("no build folder for {}", facts.release))?;
    let package = source_package(&facts.version);
    let debs = kernels::debs(cache, &package);
    let name = format!("source-{}", facts.release);
    let deb = task(cache, &name, &package, |log| {
        kernels::same_version(log, cache, facts, &package, &debs)
    })?;
    let read = "dpkg-deb --fsys-tarfile \"$1\" | \
                tar -x --to-stdout --wildcards '*/linux-source-*.tar.*'";
    ingredients.make(cache, &tree, &deb, read)?;
    folder::remove(&debs)
}

/// Makes the build folder from packages that are installed on this machine, if they are.
fn of_installed(cache: &Cache, release: &str) -> Result<bool> {
    let headers = format!("linux-headers-{release}");
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", &headers])
        .output();
    let version = query.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = version.unwrap_or_default();
    let sources = Path::new("/usr/src");
    let headers = sources.join(headers);
    let source = sources.join(format!("{}.tar.xz", source_package(&version)));
    let Ok(config) = fs::read_to_string(headers.join(".config")) else {
        return Ok(false);
    };
    if !source.is_file() {
        return Ok(false);
    }
    let rustc = kernels::rustc(&config);
    let ingredients = Ingredients::new(release, &version, rustc.as_deref(), headers)?;
    if ingredients.check(cache).is_err() {
        let rustc = &ingredients.rustc;
        let tree = compilers::find(cache, rustc, ingredients.arch())?.with_context(|| {
            format!("{release} was built by `{rustc}`, which no Debian tree in the cache has")
        })?;
        ingredients.make(cache, &tree, &source, "cat \"$1\"")?;
    }
    Ok(true)
}

/// The package of the kernel `release` in the first suite that has it.
fn find_package(cache: &Cache, release: &str) -> Result<KernelPackage> {
    let name = format!("linux-image-{release}");
    let what = format!("{name} in {}", SUITES.join(", "));
    task(cache, "find-kernel", &what, |log| {
        for suite in SUITES {
            let lists = Suite::open(cache, suite, Arch::of_kernel(release))?;
            lists.update(log)?;
            if lists.version(log, &name).is_ok() {
                return Ok(KernelPackage {
                    name,
                    suite: (*suite).to_owned(),
                });
            }
        }
        bail!(
            "no suite has {name} any more, and its headers and source are not installed here. \
             Install linux-headers-{release} and linux-source if your mirror still has them, \
             or boot the newest kernel"
        )
    })
}

/// The source package for a kernel package's version.
fn source_package(version: &str) -> String {
    let series: Vec<&str> = version.split(['.', '-', '~']).take(2).collect();
    format!("linux-source-{}", series.join("."))
}

impl Ingredients {
    fn of(kernel: &Kernel) -> Result<Self> {
        let facts = kernel.facts();
        let headers = kernel.dir().join("headers");
        Self::new(
            &facts.release,
            &facts.version,
            facts.rustc.as_deref(),
            headers,
        )
    }

    fn new(release: &str, version: &str, rustc: Option<&str>, headers: PathBuf) -> Result<Self> {
        let rustc = rustc.with_context(|| {
            format!("{release} is built without Rust (CONFIG_RUST), which linpmem.ko needs")
        })?;
        Ok(Self {
            release: release.to_owned(),
            version: version.to_owned(),
            rustc: rustc.to_owned(),
            headers,
        })
    }

    fn arch(&self) -> Arch {
        Arch::of_kernel(&self.release)
    }

    fn recipe(&self) -> String {
        format!("{} by {}", self.version, self.rustc)
    }

    fn check(&self, cache: &Cache) -> Result<(), String> {
        let release = &self.release;
        let dir = cache.kdir(release);
        fingerprint::check(&dir.join(FINGERPRINT), &self.recipe())?;
        let source = cache.source(release);
        if !source.join("Makefile").is_file() {
            return Err("the kernel source is missing".to_owned());
        }
        belongs_to(&dir, &source)
    }

    /// Builds the folder with the compilers of `tree`, from the source that the shell
    /// command `read` extracts from `archive`. The folder records its own path, so it is
    /// built in its final place.
    fn make(&self, cache: &Cache, tree: &DebianTree, archive: &Path, read: &str) -> Result<()> {
        let release = &self.release;
        let what = format!("a build folder for {release} (about 2 minutes)");
        task(cache, &format!("kdir-{release}"), &what, |log| {
            let sources = cache.source(release);
            folder::remove(&sources)?;
            fs::create_dir_all(&sources)
                .with_context(|| format!("cannot create {}", sources.display()))?;
            // In the tree, as this machine may lack xz.
            let binds: Vec<&Path> = archive.parent().into_iter().collect();
            let mut unpack = tree.command("bash", &binds);
            let script = format!(
                "set -o pipefail; {read} | xz -dcf -T0 | \
                 tar -x -C \"$2\" --strip-components=1 --anchored \"${{@:3}}\""
            );
            unpack.args(["-c", &script, "unpack"]).arg(archive);
            unpack.arg(&sources);
            let top = source_package(&self.version);
            unpack.args(
                LEFT_OUT
                    .iter()
                    .chain(other_architectures(self.arch()))
                    .map(|left_out| format!("--exclude={top}/{left_out}")),
            );
            log.run(&mut unpack)?;
            self.build(log, tree, &sources, &cache.kdir(release))
        })
    }

    fn build(&self, log: &mut Log, tree: &DebianTree, sources: &Path, dir: &Path) -> Result<()> {
        let release = &self.release;
        folder::remove(dir)?;
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        copy(&self.headers.join(".config"), &dir.join(".config"))?;
        let local = release.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        let mut make = tree.command("make", &[]);
        make.arg("-C").arg(sources);
        make.arg(format!("O={}", dir.display()))
            .arg(format!("LOCALVERSION={local}"))
            .arg(format!("-j{jobs}"))
            .args(arguments(self.arch()))
            .args(["olddefconfig", "modules_prepare"])
            .env("RUSTC_ICE", "0");
        log.run(&mut make)?;
        let built = fs::read_to_string(dir.join("include/config/kernel.release"))
            .context("the build left no include/config/kernel.release")?;
        ensure!(
            built.trim() == release,
            "the source is that of {}, not of {release}: modules would not load",
            built.trim()
        );
        ensure!(
            dir.join("rust/libkernel.rmeta").is_file(),
            "the build left no rust/libkernel.rmeta: the tree's compilers do not satisfy \
             `make rustavailable`"
        );
        let symvers = "Module.symvers";
        copy(&self.headers.join(symvers), &dir.join(symvers))?;
        let files = [FILES, more_files(self.arch())].concat();
        fingerprint::write(&dir.join(FINGERPRINT), &self.recipe(), &files)
    }
}

/// Checks that the build folder was made from the source in `source`. It names that by an
/// absolute path in many of its files, so one that came along when its cache was moved or
/// copied builds from wherever the source was before. The error says what is wrong.
fn belongs_to(dir: &Path, source: &Path) -> Result<(), String> {
    match fs::read_link(dir.join("source")) {
        Ok(link) if link == source => Ok(()),
        Ok(link) => Err(format!("it belongs to the source in {}", link.display())),
        Err(_) => Err("its link to the source is missing".to_owned()),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_source_package_is_named_by_the_series() {
        assert_eq!(source_package("7.3.4-1~bpo13+1"), "linux-source-7.3");
        assert_eq!(source_package("7.3~rc4-1"), "linux-source-7.3");
    }

    #[test]
    fn a_build_folder_of_a_cache_that_was_moved_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let (old, new) = (dir.join("old/sources/7"), dir.join("new/sources/7"));
        let missing = belongs_to(dir, &new);
        assert_eq!(missing, Err("its link to the source is missing".to_owned()));
        symlink(&old, dir.join("source")).unwrap();
        assert_eq!(belongs_to(dir, &old), Ok(()));
        let moved = belongs_to(dir, &new).unwrap_err();
        assert!(moved.contains(old.to_str().unwrap()), "{moved}");
    }
}
