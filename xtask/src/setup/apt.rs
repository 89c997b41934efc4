// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages of any suite, found and fetched by the tree's apt without being
//! installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::mirror::{Mirrors, apt_options};
use super::step::Log;
use crate::cache::Cache;
use crate::root::Root;

/// A suite's package lists.
#[derive(Debug)]
pub struct Suite {
    name: String,
    dir: PathBuf,
    root: Root,
}

/// What a package list says of one package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The names it depends on, the first of each choice.
    pub depends: Vec<String>,
}

impl Suite {
    /// The suite `name`, with its lists in the cache.
    ///
    /// # Errors
    /// When the configuration for apt cannot be written.
    pub fn open(cache: &Cache, mirrors: &Mirrors, name: &str) -> Result<Self> {
        let dir = cache.dir().join("apt").join(name);
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        for folder in ["lists/partial", "archives/partial", "parts"] {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        write("sources.list", &(mirrors.lines(name).join("\n") + "\n"))?;
        write("status", "")?;
        let at = dir.display();
        write(
            "apt.conf",
            &format!(
                "{}Acquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n\
                 Dir::Etc::SourceList \"{at}/sources.list\";\nDir::Etc::SourceParts \"{at}/parts\";\n\
                 Dir::State::Lists \"{at}/lists\";\nDir::State::status \"{at}/status\";\n\
                 Dir::Cache \"{at}\";\nDir::Cache::archives \"{at}/archives\";\n",
                apt_options()
            ),
        )?;
        Ok(Self {
            name: name.to_owned(),
            dir,
            root: Root::open(cache)?,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.root.command(program, &[]);
        command.env("APT_CONFIG", self.dir.join("apt.conf"));
        command
    }

    /// Fetches the lists anew.
    ///
    /// # Errors
    /// When the mirror cannot be reached.
    pub fn update(&self, log: &mut Log) -> Result<()> {
        let mut command = self.command("apt-get");
        // Without this, apt calls a mirror that it could not reach a success.
        log.run(command.args(["update", "--error-on=any"]))
            .with_context(|| format!("cannot fetch the package lists of {}", self.name))
    }

    /// The newest version of the package `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn package(&self, log: &mut Log, name: &str) -> Result<Package> {
        let mut command = self.command("apt-cache");
        let text = log
            .output(command.args(["show", "--no-all-versions", name]))
            .map_err(|_| anyhow!("the suite {} has no package {name}", self.name))?;
        let field = |wanted: &str| {
            text.lines().find_map(|line| {
                let (field, value) = line.split_once(": ")?;
                (field == wanted).then(|| value.trim().to_owned())
            })
        };
        let version =
            field("Version").with_context(|| format!("apt gives no version of {name}"))?;
        let depends = field("Depends").unwrap_or_default();
        let depends = depends
            .split(',')
            .filter_map(|choice| choice.split(['|', ' ']).find(|word| !word.is_empty()))
            .map(str::to_owned)
            .collect();
        Ok(Package {
            name: name.to_owned(),
            version,
            depends,
        })
    }

    /// Fetches `packages` into the folder `into`; what is there already, and
    /// right, is not fetched again.
    ///
    /// # Errors
    /// When a package cannot be fetched.
    pub fn download(
        &self,
        log: &mut Log,
        packages: &[&Package],
        into: &Path,
    ) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
        let mut command = self.command("apt-get");
        command.arg("download").env("WORKDIR", into);
        for package in packages {
            command.arg(format!("{}={}", package.name, package.version));
        }
        log.run(&mut command).context(
            "cannot fetch packages; if their version has left the archive, \
             `cargo xtask setup --refresh` takes the newest",
        )?;
        packages
            .iter()
            .map(|package| find(into, &package.name))
            .collect()
    }

    /// Fetches `names` and all that they depend on into the folder `into`.
    ///
    /// # Errors
    /// When a package cannot be found or fetched.
    pub fn download_all(&self, log: &mut Log, names: &[&str], into: &Path) -> Result<Vec<PathBuf>> {
        let partial = into.join("partial");
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot make {}", partial.display()))?;
        let mut command = self.command("apt-get");
        command
            .arg("-o")
            .arg(format!("Dir::Cache::archives={}", into.display()));
        command.args([
            "install",
            "--download-only",
            "--yes",
            "--no-install-recommends",
        ]);
        log.run(command.args(names))
            .context("cannot fetch packages")?;
        packages_in(into)
    }
}

/// All packages in `dir`.
fn packages_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "deb") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The file of the package `name` in `dir`.
///
/// # Errors
/// When there is none.
pub fn find(dir: &Path, name: &str) -> Result<PathBuf> {
    let prefix = format!("{name}_");
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if file.starts_with(&prefix) && file.ends_with(".deb") {
            return Ok(path);
        }
    }
    Err(anyhow!(
        "apt said that it fetched {name}, but {} has no such package",
        dir.display()
    ))
}
