// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stock kernels, found by package name and unpacked.

use super::archive::Suite;
use super::task::{Log, task};
use super::{fingerprint, folder};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Facts, Kernel, KernelPackage};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const FINGERPRINT: &str = ".stamp.json";
const DEBUG_FINGERPRINT: &str = ".vmlinux-stamp.json";

/// The files of a kernel, besides `modules/`.
const FILES: &[&str] = &[
    "vmlinuz",
    "config",
    "kernel.json",
    "headers/.config",
    "headers/Module.symvers",
];

fn recipe(package: &KernelPackage, version: &str) -> String {
    format!("{} {version} from {}", package.name, package.suite)
}

/// Checks that the kernel is complete. The error says what is wrong.
pub fn check(kernel: &Kernel) -> Result<(), String> {
    check_part(kernel, FINGERPRINT)
}

/// Checks that the kernel's debug symbols are there. The error says what is wrong.
pub fn check_debug(kernel: &Kernel) -> Result<(), String> {
    check_part(kernel, DEBUG_FINGERPRINT)
}

fn check_part(kernel: &Kernel, file: &str) -> Result<(), String> {
    let facts = kernel.facts();
    let recipe = recipe(&facts.package, &facts.version);
    fingerprint::check(&kernel.dir().join(file), &recipe)
}

/// Downloads the newest kernel of `package`, unless the cache has this very version.
pub fn download(cache: &Cache, package: &KernelPackage) -> Result<Kernel> {
    let what = format!("the newest {} of {}", package.name, package.suite);
    let name = format!("kernel-{}-{}", package.name, package.suite);
    task(cache, &name, &what, |log| {
        let suite = Suite::open(cache, &package.suite, package.arch())?;
        suite.update(log)?;
        let all = suite.with_dependencies(log, &package.name)?;
        let release = all.iter().find_map(|name| release_of(name));
        let release = release.with_context(|| format!("{} depends on no kernel", package.name))?;
        let is_part = |name: &&String| name.starts_with("linux-") && name.contains(release);
        let mut parts: Vec<&str> = all.iter().filter(is_part).map(String::as_str).collect();
        let image = parts.iter().find(|name| release_of(name).is_some());
        let version = suite.version(log, image.context("no image")?)?;
        println!("[setup] {name}: it is {release} ({version})");
        let dir = cache.kernels().join(release);
        let recipe = recipe(package, &version);
        if fingerprint::check(&dir.join(FINGERPRINT), &recipe).is_ok() {
            return Kernel::find(cache, release);
        }
        let headers = format!("linux-headers-{release}");
        parts.push(&headers);
        let partial = folder::begin(&dir)?;
        let tree = partial.join("tree");
        let debs = debs(cache, release);
        for deb in suite.download(log, &parts, &debs)? {
            log.run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&tree))?;
        }
        arrange(&tree, &partial, release)?;
        folder::remove(&tree)?;
        write_facts(&partial, release, package, &version)?;
        fingerprint::write(&partial.join(FINGERPRINT), &recipe, FILES)?;
        folder::finish(&dir)?;
        folder::remove(&debs)?;
        Kernel::find(cache, release)
    })
}

/// The release of the kernel's own package `name`, if it is one: what `uname -r` prints.
fn release_of(name: &str) -> Option<&str> {
    let release = name.strip_prefix("linux-image-")?;
    let release = release.strip_suffix("-unsigned").unwrap_or(release);
    release
        .starts_with(|first: char| first.is_ascii_digit())
        .then_some(release)
}

/// Downloaded packages, until they are unpacked.
pub fn debs(cache: &Cache, name: &str) -> PathBuf {
    cache.dir().join("debs").join(name)
}

/// Moves the files of the unpacked packages in `tree` to their places in `dir`.
fn arrange(tree: &Path, dir: &Path, release: &str) -> Result<()> {
    let modules = [tree.join("usr/lib/modules"), tree.join("lib/modules")];
    let modules = modules.iter().map(|folder| folder.join(release));
    let modules = modules.into_iter().find(|folder| folder.is_dir());
    let modules = modules.with_context(|| format!("the packages of {release} have no modules"))?;
    for name in ["vmlinuz", "config"] {
        let boot = tree.join("boot").join(format!("{name}-{release}"));
        let place = if boot.is_file() {
            boot
        } else {
            modules.join(name)
        };
        folder::rename(&place, &dir.join(name))?;
    }
    let headers = tree.join(format!("usr/src/linux-headers-{release}"));
    fs::create_dir(dir.join("headers")).context("cannot create the folder headers")?;
    for name in [".config", "Module.symvers"] {
        folder::rename(&headers.join(name), &dir.join("headers").join(name))?;
    }
    folder::rename(&modules, &dir.join("modules"))
}

fn write_facts(dir: &Path, release: &str, package: &KernelPackage, version: &str) -> Result<()> {
    let config = fs::read_to_string(dir.join("config")).context("cannot read the config")?;
    let facts = Facts {
        release: release.to_owned(),
        package: package.clone(),
        version: version.to_owned(),
        rustc: rustc(&config),
    };
    let json = serde_json::to_vec_pretty(&facts)?;
    fs::write(dir.join("kernel.json"), json).context("cannot write kernel.json")
}

/// The compiler that a kernel with this configuration was built with, if it has Rust:
/// the output of `rustc --version`.
pub fn rustc(config: &str) -> Option<String> {
    let value = |name: &str| {
        let mut lines = config.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    value("CONFIG_RUST").filter(|value| *value == "y")?;
    let text = value("CONFIG_RUSTC_VERSION_TEXT")?;
    Some(text.trim_matches('"').to_owned())
}

/// Downloads the kernel's debug package and keeps `vmlinux` and `System.map`.
pub fn download_debug(cache: &Cache, kernel: &Kernel) -> Result<()> {
    let facts = kernel.facts();
    let release = &facts.release;
    let what = format!("debug symbols of {release} (several hundred MiB)");
    task(cache, &format!("debug-{release}"), &what, |log| {
        let package = format!("linux-image-{release}-dbg");
        let debs = debs(cache, &package);
        let deb = same_version(log, cache, facts, &package, &debs)?;
        let dir = kernel.dir();
        let partial = folder::begin(&dir.join("debug"))?;
        let script = "set -o pipefail
            dpkg-deb --fsys-tarfile \"$1\" |
            tar -x -C \"$2\" --wildcards '*/vmlinux' '*/vmlinux-*' '*/System.map*' || [ $? = 2 ]";
        let mut command = Command::new("bash");
        log.run(command.args(["-c", script, "debug"]).arg(deb).arg(&partial))?;
        for name in ["vmlinux", "System.map"] {
            let found = find_file(&partial, name)?;
            let found = found.with_context(|| format!("{package} has no {name}"))?;
            folder::rename(&found, &dir.join(name))?;
        }
        folder::remove(&partial)?;
        let recipe = recipe(&facts.package, &facts.version);
        let files = ["vmlinux", "System.map"];
        fingerprint::write(&dir.join(DEBUG_FINGERPRINT), &recipe, &files)?;
        folder::remove(&debs)
    })
}

/// Downloads `package`, which has to have the version of the kernel with these `facts`,
/// into the folder `debs`.
pub fn same_version(
    log: &mut Log,
    cache: &Cache,
    facts: &Facts,
    package: &str,
    debs: &Path,
) -> Result<PathBuf> {
    let suite = Suite::open(cache, &facts.package.suite, facts.package.arch())?;
    suite.update(log)?;
    let version = suite.version(log, package)?;
    ensure!(
        version == facts.version,
        "{} only has {package} {version}, and the kernel in the cache is {}: \
         `cargo xtask setup --refresh` downloads the newest version of both",
        facts.package.suite,
        facts.version
    );
    let files = suite.download(log, &[package], debs)?;
    files.into_iter().next().context("apt downloaded nothing")
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

/// Makes `kernel` the default one.
pub fn make_default(cache: &Cache, kernel: &Kernel) -> Result<()> {
    let link = cache.kernels().join("default");
    let new = cache.kernels().join("default.partial");
    let _ = fs::remove_file(&new);
    symlink(kernel.release(), &new)
        .and_then(|()| fs::rename(&new, &link))
        .with_context(|| format!("cannot create the link {}", link.display()))
}

/// Removes older kernels of the same package.
pub fn remove_superseded(cache: &Cache, kernel: &Kernel) -> Result<()> {
    for old in Kernel::list(cache)? {
        let release = old.release();
        if old.facts().package == kernel.facts().package && release != kernel.release() {
            println!(
                "[setup] removing {release}, superseded by {}",
                kernel.release()
            );
            for dir in [&cache.kdir(release), &cache.source(release), old.dir()] {
                folder::remove(dir)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kernels_own_package_has_a_release() {
        assert_eq!(release_of("linux-image-7.3.4-amd64"), Some("7.3.4-amd64"));
        assert_eq!(
            release_of("linux-image-7.3.4-amd64-unsigned"),
            Some("7.3.4-amd64")
        );
        assert_eq!(release_of("linux-image-cloud-amd64"), None);
        assert_eq!(release_of("linux-modules-7.3.4-amd64"), None);
    }

    #[test]
    fn the_compiler_is_known_for_kernels_with_rust() {
        let text = "CONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.1\"\n";
        assert_eq!(rustc(text), None);
        let with_rust = format!("{text}CONFIG_RUST=y\n");
        assert_eq!(rustc(&with_rust).as_deref(), Some("rustc 1.85.1"));
    }
}
