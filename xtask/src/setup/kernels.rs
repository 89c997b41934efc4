// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stock kernels, found by package name and taken apart.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::apt::{Package, Suite};
use super::folder;
use super::stamp::Stamp;
use super::step::{Log, step};
use crate::cache::Cache;
use crate::kernel::Facts;
use crate::root::Root;

/// A kernel to have in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// A package that depends on the newest image, or an image itself.
    pub package: String,
    /// The suite to take it from.
    pub suite: String,
}

impl Wanted {
    /// The kernel that tests use: of the flavours with Rust, the one with the
    /// smallest debug package.
    #[must_use]
    pub fn default_kernel() -> Self {
        Self {
            package: "linux-image-cloud-amd64".into(),
            suite: "trixie-backports".into(),
        }
    }
}

/// Parses `PACKAGE@SUITE`.
impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('@') {
            Some((package, suite)) if !package.is_empty() && !suite.is_empty() => Ok(Self {
                package: package.to_owned(),
                suite: suite.to_owned(),
            }),
            _ => Err("expected PACKAGE@SUITE, such as linux-image-amd64@sid".to_owned()),
        }
    }
}

/// A kernel as its suite has it today.
#[derive(Clone, Debug)]
pub struct Found {
    wanted: Wanted,
    /// As `uname -r` will give it.
    pub release: String,
    version: String,
    /// The image and what it is split into.
    parts: Vec<Package>,
    headers: Package,
}

const STAMP: &str = ".stamp.json";
const DEBUG_STAMP: &str = ".vmlinux-stamp.json";

/// Resolves `wanted` in the lists of `suite`.
///
/// # Errors
/// When the suite has no such kernel.
pub fn resolve(log: &mut Log, suite: &Suite, wanted: &Wanted) -> Result<Found> {
    let asked = suite.package(log, &wanted.package)?;
    let is_image = |name: &str| {
        let rest = name.strip_prefix("linux-image-");
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let image = if is_image(&asked.name) {
        asked
    } else {
        let image = asked.depends.iter().find(|name| is_image(name));
        let image = image.with_context(|| format!("{} depends on no kernel", asked.name))?;
        suite.package(log, image)?
    };
    let release = image.name.trim_start_matches("linux-image-").to_owned();
    let release = release
        .strip_suffix("-unsigned")
        .unwrap_or(&release)
        .to_owned();
    let version = image.version.clone();
    let headers = suite.package(log, &format!("linux-headers-{release}"))?;
    let mut parts = vec![image];
    let mut next = 0;
    while let Some(part) = parts.get(next).cloned() {
        for name in &part.depends {
            let known = parts.iter().any(|part| &part.name == name);
            if name.starts_with("linux-") && name.contains(&release) && !known {
                parts.push(suite.package(log, name)?);
            }
        }
        next += 1;
    }
    Ok(Found {
        wanted: wanted.clone(),
        release,
        version,
        parts,
        headers,
    })
}

impl Found {
    fn recipe(&self) -> String {
        recipe(&self.wanted, &self.version)
    }

    /// Whether the cache holds this very version, whole.
    #[must_use]
    pub fn is_in(&self, cache: &Cache) -> bool {
        let dir = cache.kernels().join(&self.release);
        let stamp = Stamp::read(&dir.join(STAMP));
        stamp.is_some_and(|stamp| stamp.check(&dir, &self.recipe()).is_ok())
    }

    /// Fetches the kernel and takes it apart.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not as expected.
    pub fn fetch(&self, cache: &Cache, suite: &Suite) -> Result<()> {
        let what = format!("Debian's {} ({})", self.release, self.version);
        step(cache, "kernel", &what, |log| {
            let dir = cache.kernels().join(&self.release);
            let partial = folder::begin(&dir)?;
            let mut packages: Vec<&Package> = self.parts.iter().collect();
            packages.push(&self.headers);
            let debs = debs(cache, &self.release);
            let root = Root::open(cache)?;
            let tree = partial.join("tree");
            for deb in suite.download(log, &packages, &debs)? {
                log.run(root.command("dpkg-deb", &[]).arg("-x").arg(&deb).arg(&tree))?;
            }
            self.arrange(log, &root, &tree, &partial)?;
            folder::remove(&tree)?;
            let files = [
                "vmlinuz",
                "config",
                "kernel.json",
                "headers/.config",
                "headers/Module.symvers",
            ];
            Stamp::take(&partial, &self.recipe(), &files, &["modules"])?
                .write(&partial.join(STAMP))?;
            folder::finish(&dir)?;
            for deb in packages {
                remove_debs(&debs, &deb.name)?;
            }
            Ok(())
        })
    }

    /// Moves what the packages put all over the tree to where we have it.
    fn arrange(&self, log: &mut Log, root: &Root, tree: &Path, dir: &Path) -> Result<()> {
        let release = &self.release;
        let lib = if tree.join("usr/lib/modules").is_dir() {
            "usr/lib"
        } else {
            "lib"
        };
        let modules = tree.join(lib).join("modules").join(release);
        if lib == "usr/lib" && !tree.join("lib").exists() {
            // depmod looks here.
            std::os::unix::fs::symlink("usr/lib", tree.join("lib"))
                .context("cannot link lib to usr/lib")?;
        }
        for name in ["vmlinuz", "config"] {
            let places = [
                tree.join("boot").join(format!("{name}-{release}")),
                modules.join(name),
            ];
            let place = places.iter().find(|place| place.is_file());
            let place = place.with_context(|| {
                format!("the packages of {release} hold no {name}: Debian has rearranged them")
            })?;
            move_to(place, &dir.join(name))?;
        }
        let headers = tree
            .join("usr/src")
            .join(format!("linux-headers-{release}"));
        fs::create_dir(dir.join("headers")).context("cannot make the folder headers")?;
        for name in [".config", "Module.symvers"] {
            move_to(&headers.join(name), &dir.join("headers").join(name))?;
        }
        log.run(root.command("depmod", &[]).arg("-b").arg(tree).arg(release))?;
        move_to(&modules, &dir.join("modules"))?;
        let config = fs::read_to_string(dir.join("config")).context("cannot read the config")?;
        let facts = Facts {
            release: release.clone(),
            package: self.wanted.package.clone(),
            version: self.version.clone(),
            suite: self.wanted.suite.clone(),
            rustc: config_value(&config, "CONFIG_RUST")
                .filter(|value| *value == "y")
                .and_then(|_| config_value(&config, "CONFIG_RUSTC_VERSION_TEXT"))
                .map(|text| text.trim_matches('"').to_owned()),
        };
        let json = serde_json::to_vec_pretty(&facts)?;
        fs::write(dir.join("kernel.json"), json).context("cannot write kernel.json")
    }
}

/// Whether the kernel with these facts is whole.
///
/// # Errors
/// What is the matter with it.
pub fn check(cache: &Cache, facts: &Facts) -> Result<(), String> {
    let dir = cache.kernels().join(&facts.release);
    let stamp = Stamp::read(&dir.join(STAMP)).ok_or("unfinished")?;
    stamp.check(&dir, &recipe(&facts.wanted(), &facts.version))
}

/// Whether the kernel's debug symbols are there.
///
/// # Errors
/// What is the matter with them.
pub fn check_debug(cache: &Cache, facts: &Facts) -> Result<(), String> {
    let dir = cache.kernels().join(&facts.release);
    let stamp = Stamp::read(&dir.join(DEBUG_STAMP)).ok_or("missing or unfinished")?;
    stamp.check(&dir, &recipe(&facts.wanted(), &facts.version))
}

/// Fetches the kernel's debug package and keeps `vmlinux` and `System.map`.
///
/// # Errors
/// When it cannot be fetched, or lacks one of them.
pub fn fetch_debug(cache: &Cache, suite: &Suite, facts: &Facts) -> Result<()> {
    let release = &facts.release;
    let what = format!("debug symbols of {release} (several hundred MiB)");
    step(cache, "debug", &what, |log| {
        let package = suite.package(log, &format!("linux-image-{release}-dbg"))?;
        ensure!(
            package.version == facts.version,
            "the suite {} has {} {} only, the kernel in the cache is {}: \
             `cargo xtask setup --refresh` takes the newest of both",
            suite.name(),
            package.name,
            package.version,
            facts.version
        );
        let debs = debs(cache, release);
        let dir = cache.kernels().join(release);
        let root = Root::open(cache)?;
        let fetched = suite.download(log, &[&package], &debs)?;
        let deb = fetched.first().context("apt fetched no package")?;
        let partial = folder::begin(&dir.join("debug"))?;
        // One pass: unpacking a package of this size takes its time.
        let script = "set -o pipefail
            dpkg-deb --fsys-tarfile \"$1\" |
            tar -x -C \"$2\" --wildcards '*/vmlinux' '*/vmlinux-*' '*/System.map*' || [ $? = 2 ]";
        let mut command = root.command("bash", &[]);
        log.run(command.args(["-c", script, "debug"]).arg(deb).arg(&partial))?;
        for name in ["vmlinux", "System.map"] {
            let found = find_file(&partial, name)?
                .with_context(|| format!("{} holds no {name}", package.name))?;
            move_to(&found, &dir.join(name))?;
        }
        folder::remove(&partial)?;
        let recipe = recipe(&facts.wanted(), &facts.version);
        let stamp = Stamp::take(&dir, &recipe, &["vmlinux", "System.map"], &[])?;
        stamp.write(&dir.join(DEBUG_STAMP))?;
        remove_debs(&debs, &package.name)
    })
}

/// The value of `name` in a kernel configuration.
#[must_use]
pub fn config_value<'a>(config: &'a str, name: &str) -> Option<&'a str> {
    config
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Where the packages of `release` are until they have been taken apart.
#[must_use]
pub fn debs(cache: &Cache, release: &str) -> PathBuf {
    cache.dir().join("debs").join(release)
}

/// Removes the package `name` from `dir`, and `dir` with its last package.
///
/// # Errors
/// When a file cannot be removed.
pub fn remove_debs(dir: &Path, name: &str) -> Result<()> {
    let prefix = format!("{name}_");
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|file| file.to_string_lossy().starts_with(&prefix))
        {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    // Fails while another package is in it, as it should.
    let _ = fs::remove_dir(dir);
    Ok(())
}

/// The first regular file below `dir` called `name` or `name-…`.
fn find_file(dir: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if let Some(found) = find_file(&entry.path(), name)? {
                return Ok(Some(found));
            }
        } else if kind.is_file() {
            let file = entry.file_name();
            let rest = file.to_str().and_then(|file| file.strip_prefix(name));
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

fn recipe(wanted: &Wanted, version: &str) -> String {
    format!("{} {version} from {}", wanted.package, wanted.suite)
}

fn move_to(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        bail!(
            "{} is missing: Debian has rearranged its packages",
            from.display()
        );
    }
    fs::rename(from, to)
        .with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}
