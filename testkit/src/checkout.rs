// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the checkout and its build products are.

use crate::arch::Arch;
use crate::build_kind::BuildKind;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace's `Cargo.toml`, as it was when this crate was compiled.
#[must_use]
pub fn dir() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, else `target` in the checkout.
#[must_use]
pub fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(target) if !target.is_empty() => dir().join(target),
        _ => dir().join("target"),
    }
}

/// Where `cargo xtask dist` puts static binaries for the host's architecture.
#[must_use]
pub fn dist_dir() -> PathBuf {
    dist_dir_of(Arch::HOST)
}

/// Where `cargo xtask dist --target ARCH` puts them. Those that are compiled for tests alone are
/// kept apart.
#[must_use]
pub fn dist_dir_of(arch: Arch) -> PathBuf {
    let dist = match BuildKind::of(arch) {
        BuildKind::Release => target_dir().join("dist"),
        BuildKind::Quick => target_dir().join("dist-quick"),
    };
    match arch {
        Arch::HOST => dist,
        other => dist.join(other.name()),
    }
}

/// Where `cargo xtask kmod` puts `linpmem.ko` for the kernel `release`.
#[must_use]
pub fn kmod_dir(release: &str) -> PathBuf {
    target_dir().join("kmod").join(release)
}

/// The cargo that runs this program, else the one in `PATH`, started in the checkout.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(dir());
    cargo
}
