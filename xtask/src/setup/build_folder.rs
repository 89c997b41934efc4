// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the ingredients of a kernel build folder come from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::apt::{self, Suite};
use super::folder;
use super::kernels::{self, config_value};
use super::lock::Lock;
use super::mirror::Mirrors;
use super::stamp::Stamp;
use super::step::{Log, step};
use crate::cache::Cache;
use crate::kdir::{Ingredients, Source};
use crate::kernel::Kernel;
use crate::root::Root;

/// Where kernels with Rust may be, other than in the cache. A kernel of the
/// later suites is built by a later compiler once theirs has changed.
const SUITES: &[&str] = &["trixie-backports", "trixie", "testing", "sid"];

const STAMP: &str = ".stamp.json";

/// Makes the build folder of a kernel in the cache, unless it is there.
///
/// # Errors
/// When its source cannot be fetched, or the folder not be made.
pub fn of_kernel(cache: &Cache, suite: &Suite, kernel: &Kernel) -> Result<()> {
    let ingredients = Ingredients::of(kernel)?;
    if ingredients.check(cache).is_ok() {
        return Ok(());
    }
    with_source_package(cache, suite, &ingredients)
}

/// Makes the build folder of the kernel `release`, unless it is there: from
/// the cache's kernel, else from the headers and the source installed on this
/// machine, else from the first suite that has it.
///
/// # Errors
/// When nothing has this kernel, it is built without Rust, or the folder
/// cannot be made.
pub fn of_release(cache: &Cache, release: &str) -> Result<()> {
    if let Ok(kernel) = Kernel::find(cache, release) {
        let ingredients = Ingredients::of(&kernel)?;
        if ingredients.check(cache).is_ok() {
            return Ok(());
        }
        let _lock = Lock::take(cache)?;
        let suite = Suite::open(cache, &Mirrors::of_this_machine()?, &kernel.facts().suite)?;
        step(
            cache,
            "lists",
            &format!("packages of {}", suite.name()),
            |log| suite.update(log),
        )?;
        return with_source_package(cache, &suite, &ingredients);
    }
    let headers = cache.dir().join("headers").join(release);
    let known = Stamp::read(&headers.join(STAMP));
    if let Some(stamp) = &known {
        if ingredients(release, &headers, &stamp.recipe)?
            .check(cache)
            .is_ok()
        {
            return Ok(());
        }
    }
    let _lock = Lock::take(cache)?;
    if let Some((version, source)) = installed(release, &headers)? {
        return ingredients(release, &headers, &version)?.make(cache, &source);
    }
    let (suite, version) = published(cache, release, &headers)?;
    with_source_package(cache, &suite, &ingredients(release, &headers, &version)?)
}

/// Fetches the source package of the same version and makes the folder.
fn with_source_package(cache: &Cache, suite: &Suite, ingredients: &Ingredients) -> Result<()> {
    // Asked again when the folder is made; here it saves the download.
    ingredients.check_compiler(&Root::open(cache)?)?;
    let debs = kernels::debs(cache, &ingredients.release);
    let what = format!("the source of {}", ingredients.release);
    let package = step(cache, "source", &what, |log| {
        let package = suite.package(log, &source_package(&ingredients.version))?;
        ensure!(
            package.version == ingredients.version,
            "the suite {} has {} {} only, the kernel is {}: `cargo xtask setup --refresh` takes \
             the newest of both",
            suite.name(),
            package.name,
            package.version,
            ingredients.version
        );
        suite.download(log, &[&package], &debs)?;
        Ok(package)
    })?;
    let archive = apt::find(&debs, &package.name)?;
    ingredients.make(cache, &Source::Package(archive))?;
    kernels::remove_debs(&debs, &package.name)
}

/// The name of the source package for a kernel package's version.
fn source_package(version: &str) -> String {
    let series: Vec<&str> = version.split(['.', '-', '~']).take(2).collect();
    format!("linux-source-{}", series.join("."))
}

fn ingredients(release: &str, headers: &Path, version: &str) -> Result<Ingredients> {
    let config = headers.join(".config");
    let text =
        fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
    if config_value(&text, "CONFIG_RUST") != Some("y") {
        bail!("the kernel {release} is built without Rust (CONFIG_RUST): linpmem.ko needs it");
    }
    let rustc = config_value(&text, "CONFIG_RUSTC_VERSION_TEXT").unwrap_or_default();
    Ok(Ingredients {
        release: release.to_owned(),
        version: version.to_owned(),
        rustc: rustc.trim_matches('"').to_owned(),
        config,
        symvers: headers.join("Module.symvers"),
    })
}

/// Takes what this machine has installed: the headers' version and the source.
fn installed(release: &str, headers: &Path) -> Result<Option<(String, Source)>> {
    let package = format!("linux-headers-{release}");
    let mut query = Command::new("dpkg-query");
    let Ok(output) = query
        .args(["--show", "--showformat=${Version}", &package])
        .output()
    else {
        return Ok(None);
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let sources = Path::new("/usr/src");
    let source = sources.join(format!("{}.tar.xz", source_package(&version)));
    let from = sources.join(&package);
    if !output.status.success() || !source.is_file() || !from.is_dir() {
        return Ok(None);
    }
    keep_headers(&from, headers, &version)?;
    Ok(Some((version, Source::Archive(source))))
}

/// Fetches the headers from the first suite that has them.
fn published(cache: &Cache, release: &str, headers: &Path) -> Result<(Suite, String)> {
    let mirrors = Mirrors::of_this_machine()?;
    let package = format!("linux-headers-{release}");
    let what = format!("{package} in {}", SUITES.join(", "));
    step(cache, "headers", &what, |log| {
        for name in SUITES {
            let suite = Suite::open(cache, &mirrors, name)?;
            suite.update(log)?;
            let Ok(found) = suite.package(log, &package) else {
                continue;
            };
            let debs = kernels::debs(cache, release);
            let [deb]: [PathBuf; 1] = suite
                .download(log, &[&found], &debs)?
                .try_into()
                .map_err(|_| anyhow::anyhow!("apt fetched another number of packages"))?;
            unpack_headers(log, cache, &deb, release, headers, &found.version)?;
            kernels::remove_debs(&debs, &found.name)?;
            return Ok((suite, found.version));
        }
        bail!(
            "no suite has {package} any more, and it is not installed here together with its \
             source: `apt-get install {package} linux-source` if your archive still has them, \
             or boot the newest kernel"
        )
    })
}

fn unpack_headers(
    log: &mut Log,
    cache: &Cache,
    deb: &Path,
    release: &str,
    headers: &Path,
    version: &str,
) -> Result<()> {
    let tree = folder::begin(headers)?;
    let root = Root::open(cache)?;
    log.run(root.command("dpkg-deb", &[]).arg("-x").arg(deb).arg(&tree))?;
    keep_headers(
        &tree.join(format!("usr/src/linux-headers-{release}")),
        headers,
        version,
    )?;
    folder::remove(&tree)
}

/// Keeps what a build folder is made from.
fn keep_headers(from: &Path, headers: &Path, version: &str) -> Result<()> {
    let names = [".config", "Module.symvers"];
    fs::create_dir_all(headers).with_context(|| format!("cannot make {}", headers.display()))?;
    for name in names {
        let path = from.join(name);
        fs::copy(&path, headers.join(name))
            .with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Stamp::take(headers, version, &names, &[])?.write(&headers.join(STAMP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_is_in_the_source_package_name() {
        assert_eq!(source_package("7.3.4-1~bpo13+1"), "linux-source-7.3");
        assert_eq!(source_package("7.3~rc4-1"), "linux-source-7.3");
    }
}
