// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library for C as it is installed: headers, archives, pkg-config.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::TARGET;
use crate::checkout;

/// The name that programs ask for at run time.
const SONAME: &str = "liblinpmem.so.0";

/// The library in `target/dist`.
#[derive(Clone, Debug)]
pub struct Library {
    /// `linpmem.h`, and `linpmem/ioctl.h` for the module's own ABI.
    pub include: PathBuf,
    /// `liblinpmem.a`, `liblinpmem.so` and `pkgconfig/linpmem.pc`.
    pub lib: PathBuf,
}

impl Library {
    /// `liblinpmem.a`.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.lib.join("liblinpmem.a")
    }

    /// `liblinpmem.so.0`.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.lib.join(SONAME)
    }
}

/// Compiles the library; the folder that cargo leaves it in.
pub(super) fn compile() -> Result<PathBuf> {
    // A folder of its own: the programs are built with other flags, and cargo
    // would build everything anew at each change between them.
    let target = checkout::target_dir().join("capi");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(checkout::dir())
        .args(["build", "--quiet", "--release", "--locked", "--lib"])
        .args(["--package", "linpmem-capi", "--target", TARGET])
        .arg("--target-dir")
        .arg(&target);
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(
        status.success(),
        "cargo, building the library for C, ended with {status}"
    );
    Ok(target.join(TARGET).join("release"))
}

/// Builds the library into `target/dist`.
///
/// # Errors
/// When it cannot be built or written.
pub fn build() -> Result<Library> {
    let built = compile()?;
    let dist = checkout::dist_dir();
    let library = Library {
        include: dist.join("include"),
        lib: dist.join("lib"),
    };
    let config = library.lib.join("pkgconfig");
    for folder in [&library.include.join("linpmem"), &config] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let source = checkout::dir();
    copy(
        &source.join("driver/capi/include/linpmem.h"),
        &library.include.join("linpmem.h"),
    )?;
    copy(
        &source.join("kmod/include/linpmem.h"),
        &library.include.join("linpmem/ioctl.h"),
    )?;
    copy(&built.join("liblinpmem_capi.a"), &library.archive())?;
    let version = env!("CARGO_PKG_VERSION");
    let full = format!("liblinpmem.so.{version}");
    copy(&built.join("liblinpmem_capi.so"), &library.lib.join(&full))?;
    link(&full, &library.shared())?;
    link(SONAME, &library.lib.join("liblinpmem.so"))?;
    let file = config.join("linpmem.pc");
    fs::write(&file, pkg_config(version)).with_context(|| format!("writing {}", file.display()))?;
    Ok(library)
}

/// Relative to itself, so that the folder can be moved to where it is wanted.
fn pkg_config(version: &str) -> String {
    format!(
        "prefix=${{pcfiledir}}/../..\n\
         includedir=${{prefix}}/include\n\
         libdir=${{prefix}}/lib\n\n\
         Name: linpmem\n\
         Description: Reads physical memory through the linpmem module\n\
         Version: {version}\n\
         Cflags: -I${{includedir}}\n\
         Libs: -L${{libdir}} -llinpmem\n\
         Libs.private: -lpthread -ldl -lm -lc\n"
    )
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let partial = to.with_extension("partial");
    fs::copy(from, &partial)
        .and_then(|_| fs::rename(&partial, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn link(to: &str, at: &Path) -> Result<()> {
    if fs::symlink_metadata(at).is_ok() {
        fs::remove_file(at).with_context(|| format!("removing {}", at.display()))?;
    }
    symlink(to, at).with_context(|| format!("linking {}", at.display()))
}
