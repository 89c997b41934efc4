// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other people's programs that do the same work.

use anyhow::{Context, Result, bail, ensure};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

const AVML: &str = "avml";
const AVML_ARM64: &str = "avml-arm64";
const LIME: &str = "lime";
/// Named explicitly, so that the flags below do not apply to build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The value of `--peer`.
#[derive(Clone, Debug)]
pub struct Peer {
    name: String,
    path: PathBuf,
}

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(Self {
                name: name.to_owned(),
                path: PathBuf::from(path),
            }),
            _ => bail!("expected NAME=PATH, such as avml=/usr/local/bin/avml"),
        }
    }
}

/// Programs to compare with.
#[derive(Debug)]
pub struct Peers {
    given: BTreeMap<String, PathBuf>,
}

impl Peers {
    /// The programs from the command line.
    pub fn new(given: &[Peer]) -> Self {
        let given = given.iter().cloned();
        Self {
            given: given.map(|peer| (peer.name, peer.path)).collect(),
        }
    }

    /// LiME's module, if it was given: it has to be built for the kernel of the benchmark.
    pub fn lime(&self) -> Result<Option<&Path>> {
        self.given(LIME)
    }

    /// A static AVML for arm64: the one that was given, or the cache's, if it has one. It is
    /// not built, as it needs a newer compiler than the tree for arm64 has.
    pub fn avml_arm64(&self) -> Result<Option<PathBuf>> {
        if let Some(given) = self.given(AVML_ARM64)? {
            return Ok(Some(given.to_path_buf()));
        }
        let cached = Cache::open()?.tools().join(AVML_ARM64).join("bin/avml");
        Ok(Some(cached).filter(|path| path.is_file()))
    }

    fn given(&self, name: &str) -> Result<Option<&Path>> {
        match self.given.get(name) {
            Some(path) => {
                ensure!(path.is_file(), "{} does not exist", path.display());
                Ok(Some(path))
            }
            None => Ok(None),
        }
    }

    /// A static AVML: the one that was given, or the cache's, which is built if missing.
    pub fn avml(&self) -> Result<PathBuf> {
        if let Some(path) = self.given.get(AVML) {
            ensure!(path.is_file(), "{} does not exist", path.display());
            return Ok(path.clone());
        }
        let folder = Cache::open()?.tools().join(AVML);
        let built = folder.join("bin").join(AVML);
        if !built.is_file() {
            install(&folder)
                .context("cannot build AVML; give the path of a static one by --peer avml=PATH")?;
        }
        Ok(built)
    }
}

/// Builds the newest AVML into `folder`.
fn install(folder: &Path) -> Result<()> {
    eprintln!("[bench] building AVML by cargo install (several minutes)");
    let status = checkout::cargo()
        .args(["install", AVML, "--locked", "--quiet", "--target", TARGET])
        .arg("--root")
        .arg(folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir("/")
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo install avml failed ({status})");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_name_and_a_path() {
        let peer: Peer = "avml=/opt/a=b".parse().unwrap();
        assert_eq!(
            (&*peer.name, peer.path),
            ("avml", PathBuf::from("/opt/a=b"))
        );
        for text in ["avml", "=x", "avml=", ""] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
    }
}
