// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel build folders with the `rust/` metadata, which no Debian package
//! ships: rebuilt from the kernel's own source, configuration and compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::root::Root;
use crate::setup::stamp::Stamp;
use crate::setup::step::{Log, step};
use crate::setup::{self, Part, folder};

/// The command line of `cargo xtask kdir`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A kernel release, as `uname -r` gives it [default: the cache's kernel]
    #[arg(conflicts_with = "running")]
    release: Option<String>,
    /// The kernel that runs on this machine
    #[arg(long)]
    running: bool,
}

/// What a module's build cannot do without.
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
    "tools/objtool/objtool",
];

const STAMP: &str = ".stamp.json";

/// What a build folder is made from.
#[derive(Debug)]
pub struct Ingredients {
    /// The release it is for.
    pub release: String,
    /// What identifies the kernel: a change makes the folder anew.
    pub version: String,
    /// The compiler that built the kernel.
    pub rustc: String,
    /// The header package's `.config`.
    pub config: PathBuf,
    /// The header package's `Module.symvers`.
    pub symvers: PathBuf,
}

/// Where the kernel's source comes from.
#[derive(Debug)]
pub enum Source {
    /// A `linux-source-X.Y` package.
    Package(PathBuf),
    /// The archive that such a package installs in `/usr/src`.
    Archive(PathBuf),
}

impl Ingredients {
    /// Those of a kernel in the cache.
    ///
    /// # Errors
    /// When the kernel is built without Rust.
    pub fn of(kernel: &Kernel) -> Result<Self> {
        let facts = kernel.facts();
        let rustc = facts.rustc.clone().with_context(|| {
            format!(
                "{} is built without Rust (CONFIG_RUST): it has no rust/ metadata",
                facts.release
            )
        })?;
        Ok(Self {
            release: facts.release.clone(),
            version: facts.version.clone(),
            rustc,
            config: kernel.dir().join("headers/.config"),
            symvers: kernel.dir().join("headers/Module.symvers"),
        })
    }

    fn recipe(&self) -> String {
        format!("{} by {}", self.version, self.rustc)
    }

    /// Whether the folder is there and whole.
    ///
    /// # Errors
    /// What is the matter with it.
    pub fn check(&self, cache: &Cache) -> Result<(), String> {
        let dir = cache.kdir(&self.release);
        let stamp = Stamp::read(&dir.join(STAMP)).ok_or("missing or unfinished")?;
        stamp.check(&dir, &self.recipe())?;
        if !cache.source(&self.release).join("Makefile").is_file() {
            return Err("its kernel source is missing".to_owned());
        }
        Ok(())
    }

    /// Builds the folder. Its path is recorded in it, so it is made in its
    /// place; without its stamp it counts as unfinished.
    ///
    /// # Errors
    /// When the compiler is another one than the kernel's, or make fails.
    pub fn make(&self, cache: &Cache, source: &Source) -> Result<()> {
        let what = format!("a build folder for {} (about 2 minutes)", self.release);
        step(cache, "kdir", &what, |log| {
            let root = Root::open(cache)?;
            self.check_compiler(&root)?;
            let sources = cache.source(&self.release);
            unpack(log, &root, source, &sources)?;
            self.build(log, cache, &root, &sources)?;
            let dir = cache.kdir(&self.release);
            Stamp::take(&dir, &self.recipe(), FILES, &["rust"])?.write(&dir.join(STAMP))
        })
    }

    /// Whether the tree's compiler is the one that built the kernel.
    ///
    /// # Errors
    /// When it is another one.
    pub fn check_compiler(&self, root: &Root) -> Result<()> {
        let output = root.command("rustc", &[]).arg("--version").output()?;
        let rustc = String::from_utf8_lossy(&output.stdout);
        ensure!(
            rustc.trim() == self.rustc,
            "the kernel {} was built by `{}`, but the Debian tree has `{}`: Rust modules load \
             only when built by the same compiler. If one of the two is out of date, `cargo xtask \
             setup --refresh` renews both",
            self.release,
            self.rustc,
            rustc.trim()
        );
        Ok(())
    }

    fn build(&self, log: &mut Log, cache: &Cache, root: &Root, sources: &Path) -> Result<()> {
        let dir = cache.kdir(&self.release);
        folder::remove(&dir)?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        copy(&self.config, &dir.join(".config"))?;
        let number = self
            .release
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        let mut make = root.command("make", &[]);
        make.arg("-C")
            .arg(sources)
            .arg(format!("O={}", dir.display()));
        make.arg(format!("LOCALVERSION={number}"))
            .arg(format!("-j{jobs}"));
        make.args(["olddefconfig", "modules_prepare"])
            .env("RUSTC_ICE", "0");
        log.run(&mut make)?;
        let built = fs::read_to_string(dir.join("include/config/kernel.release"))
            .context("the build left no include/config/kernel.release")?;
        ensure!(
            built.trim() == self.release,
            "the source is that of {}, not of {}: modules would not load",
            built.trim(),
            self.release
        );
        ensure!(
            dir.join("rust/libkernel.rmeta").is_file(),
            "the build left no rust/libkernel.rmeta: the tree's compilers do not satisfy \
             `make rustavailable`"
        );
        copy(&self.symvers, &dir.join("Module.symvers"))
    }
}

/// Source files that a build of modules never looks at. The Kconfig files beside
/// them stay, as the configuration is read from all of them.
const LEFT_OUT: &[&str] = &[
    "drivers/*.[cS]",
    "drivers/gpu/*.h",
    "fs/*.[ch]",
    "net/*.[ch]",
    "sound/*.[ch]",
    "Documentation/*/*",
    "tools/perf/*",
    "tools/testing/*",
    "arch/[a-wyz]*/*.[chS]",
    "arch/xtensa/*.[chS]",
];

/// Unpacks the source.
fn unpack(log: &mut Log, root: &Root, source: &Source, to: &Path) -> Result<()> {
    folder::remove(to)?;
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let (path, read) = match source {
        Source::Package(path) => (
            path,
            "dpkg-deb --fsys-tarfile \"$1\" | tar -x --to-stdout --wildcards '*/linux-source-*.tar.*'",
        ),
        Source::Archive(path) => (path, "cat \"$1\""),
    };
    // `linux-source-7.3`, in the names of the package, the archive and the
    // folder in it.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.split(['_']).next().unwrap_or_default();
    let name = name.split(".tar").next().unwrap_or_default();
    let script = format!(
        "set -o pipefail; {read} | xz -dcf -T0 | tar -x -C \"$2\" --strip-components=1 --anchored \"${{@:3}}\""
    );
    let mut command = root.command("bash", &path.parent().into_iter().collect::<Vec<_>>());
    command.args(["-c", &script, "unpack"]).arg(path).arg(to);
    command.args(
        LEFT_OUT
            .iter()
            .map(|pattern| format!("--exclude={name}/{pattern}")),
    );
    log.run(&mut command)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// The cache's default kernel and its build folder, made when missing.
///
/// # Errors
/// When it cannot be made.
pub fn of_default(cache: &Cache) -> Result<(Kernel, PathBuf)> {
    setup::ensure(cache, &[Part::Root, Part::Kernel, Part::Kdir])?;
    let kernel = Kernel::default(cache)?;
    let dir = cache.kdir(kernel.release());
    Ok((kernel, dir))
}

/// The build folder of any Debian kernel with Rust, made when missing.
///
/// # Errors
/// When no suite has the kernel, or the folder cannot be made.
pub fn of_release(cache: &Cache, release: &str) -> Result<PathBuf> {
    setup::ensure(cache, &[Part::Root])?;
    setup::kdir_of_release(cache, release)?;
    Ok(cache.kdir(release))
}

/// Runs `cargo xtask kdir`.
///
/// # Errors
/// When the folder cannot be made.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let release = if args.running {
        Some(
            rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
        )
    } else {
        args.release.clone()
    };
    let dir = match release {
        None => of_default(&cache)?.1,
        Some(release) => of_release(&cache, &release)?,
    };
    println!("{}", dir.display());
    Ok(())
}
