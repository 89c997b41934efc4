// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tools `mask` and `unmask`: hide a file or a folder of the kernel, as container
//! runtimes do.

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount, umount};
use std::path::Path;

/// `mask PATH [FILE]`: mounts FILE over the file PATH, or else what container runtimes use:
/// /dev/null, and an empty file system over a folder.
pub fn mask(args: &[String]) -> Result<()> {
    let (path, with) = match args {
        [path] => (path.as_str(), "/dev/null"),
        [path, with] => (path.as_str(), with.as_str()),
        _ => bail!("usage: mask PATH [FILE]"),
    };
    let outcome = if Path::new(path).is_dir() {
        let kind = Some("tmpfs");
        mount(kind, path, kind, MsFlags::MS_RDONLY, None::<&str>)
    } else {
        mount(
            Some(with),
            path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
    };
    outcome.with_context(|| format!("mounting over {path}"))
}

/// `unmask PATH`: undoes it.
pub fn unmask(args: &[String]) -> Result<()> {
    let path = args.first().context("usage: unmask PATH")?;
    umount(path.as_str()).with_context(|| format!("unmounting {path}"))
}
