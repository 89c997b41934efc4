// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of the DKMS package, as they are installed, and the scripts that install them.

use anyhow::{Context, Result, ensure};
use linpmem_testkit::checkout;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Stands for the version in the files of `packaging/`.
const PLACEHOLDER: &str = "@VERSION@";

/// The version of all packages of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What DKMS builds: its configuration and the build step.
const RECIPE: &[&str] = &["dkms.conf", "build.sh"];

/// What the package manager runs.
const SCRIPTS: &[&str] = &["postinst", "prerm"];

/// The source of the module that is compiled where it cannot be fitted, below `kmod/`.
const SOURCES: &[&str] = &["Makefile", "rfl", "shell", "core/src"];

/// The command line of `cargo xtask dkms`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `cargo xtask dkms`.
pub fn run(_: &Args) -> Result<()> {
    println!("{}", assemble()?.display());
    Ok(())
}

/// Assembles `target/dist/dkms`: below `root/` what is installed, beside it the maintainer's
/// scripts. Returns the folder.
pub fn assemble() -> Result<PathBuf> {
    let folder = checkout::dist_dir().join("dkms");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let packaging = checkout::dir().join("packaging");
    let source = folder.join(format!("root/usr/src/linpmem-{VERSION}"));
    for name in RECIPE {
        fill_in(&packaging.join("dkms").join(name), &source.join(name))?;
    }
    for name in SCRIPTS {
        fill_in(&packaging.join("dkms").join(name), &folder.join(name))?;
    }
    let kmod = checkout::dir().join("kmod");
    for name in SOURCES {
        copy(&kmod.join(name), &source.join("kmod").join(name))?;
    }
    copy(
        &checkout::dir().join("LICENSE-GPL-2.0"),
        &source.join("kmod/LICENSE-GPL-2.0"),
    )?;
    Ok(folder)
}

/// Copies a text file, with the version in place of [`PLACEHOLDER`].
fn fill_in(from: &Path, to: &Path) -> Result<()> {
    copy(from, to)?;
    let text =
        fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?;
    let text = text.replace(PLACEHOLDER, VERSION);
    let is_placeholder = |rest: &str| rest.starts_with(|first: char| first.is_ascii_uppercase());
    ensure!(
        !text.split('@').skip(1).any(is_placeholder),
        "{} has another placeholder than {PLACEHOLDER}",
        from.display()
    );
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

/// Whether a file of the module's source is one, and not something that a build has left there.
fn is_source(path: &Path) -> bool {
    let is_named = path
        .file_name()
        .is_some_and(|name| ["Makefile", "Kbuild"].iter().any(|known| name == *known));
    let ending = path.extension().and_then(OsStr::to_str);
    // `.shim.o.cmd` and `linpmem.mod.c` are kbuild's.
    let is_made = path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with('.') || name.contains(".mod.")
    });
    !is_made && (is_named || ending.is_some_and(|ending| ["c", "h", "rs"].contains(&ending)))
}

/// Copies a file, or the source in a folder, with its mode.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("cannot copy {} to {}", from.display(), to.display());
    if from.is_dir() {
        fs::create_dir_all(to).with_context(context)?;
        for entry in fs::read_dir(from).with_context(context)? {
            let entry = entry.with_context(context)?;
            let path = entry.path();
            if path.is_dir() || is_source(&path) {
                copy(&path, &to.join(entry.file_name()))?;
            }
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(context)?;
    }
    fs::copy(from, to).map(drop).with_context(context)
}
