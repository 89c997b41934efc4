// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library for C as it is installed: headers, archives, pkg-config.

use super::{LIBRARY, copy, flags};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::checkout;
use linpmem_testkit::cross;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The name that programs ask for at run time.
const SONAME: &str = "liblinpmem.so.0";

/// Compiles the library, and returns cargo's output folder.
pub(super) fn compile(arch: Arch) -> Result<PathBuf> {
    // A folder of its own: the programs are built with other flags, and cargo would
    // rebuild everything at each change between the two.
    let target = cross::target_dir(arch).join("capi");
    let mut cargo = cross::cargo(arch)?;
    cargo
        .args(["build", "--quiet", "--release", "--locked", "--lib"])
        .args(["--package", LIBRARY, "--target", arch.target()])
        .arg("--target-dir")
        .arg(&target);
    flags::set(&mut cargo, arch, &[])?;
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(
        status.success(),
        "cargo failed to build the library for C ({status})"
    );
    Ok(target.join(arch.target()).join("release"))
}

/// Builds the library into `target/dist`, and returns its main files.
pub(super) fn build(arch: Arch) -> Result<[PathBuf; 3]> {
    let built = compile(arch)?;
    let dist = checkout::dist_dir_of(arch);
    let (include, lib) = (dist.join("include"), dist.join("lib"));
    let config = lib.join("pkgconfig");
    for folder in [&include.join("linpmem"), &config] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let source = checkout::dir();
    let header = include.join("linpmem.h");
    copy(&source.join("driver/capi/include/linpmem.h"), &header)?;
    copy(
        &source.join("kmod/include/linpmem.h"),
        &include.join("linpmem/ioctl.h"),
    )?;
    let archive = lib.join("liblinpmem.a");
    copy(&built.join("liblinpmem_capi.a"), &archive)?;
    let version = env!("CARGO_PKG_VERSION");
    let full = format!("liblinpmem.so.{version}");
    let shared = lib.join(SONAME);
    copy(&built.join("liblinpmem_capi.so"), &lib.join(&full))?;
    link(&full, &shared)?;
    link(SONAME, &lib.join("liblinpmem.so"))?;
    let file = config.join("linpmem.pc");
    fs::write(&file, pkg_config(MOVABLE, "${prefix}/lib", version))
        .with_context(|| format!("writing {}", file.display()))?;
    Ok([header, archive, shared])
}

/// A folder for pkg-config that is relative to its file, so that it can be moved anywhere.
const MOVABLE: &str = "${pcfiledir}/../..";

/// What pkg-config is told of the library below `prefix`, whose files are in `libdir`.
pub fn pkg_config(prefix: &str, libdir: &str, version: &str) -> String {
    format!(
        "prefix={prefix}\n\
         includedir=${{prefix}}/include\n\
         libdir={libdir}\n\n\
         Name: linpmem\n\
         Description: Reads physical memory through the linpmem module\n\
         Version: {version}\n\
         Cflags: -I${{includedir}}\n\
         Libs: -L${{libdir}} -llinpmem\n\
         Libs.private: -lpthread -ldl -lm -lc\n"
    )
}

fn link(to: &str, at: &Path) -> Result<()> {
    if fs::symlink_metadata(at).is_ok() {
        fs::remove_file(at).with_context(|| format!("removing {}", at.display()))?;
    }
    symlink(to, at).with_context(|| format!("creating the link {}", at.display()))
}
