// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of others that do the same work.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;

const AVML: &str = "avml";
/// Named in full, so that the flags below are not those of build scripts too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What was given by `--peer`.
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
            _ => bail!("say NAME=PATH, as in avml=/usr/local/bin/avml"),
        }
    }
}

/// Programs to compare with.
#[derive(Debug)]
pub struct Peers {
    given: BTreeMap<String, PathBuf>,
}

impl Peers {
    /// Those of the command line.
    pub fn new(given: &[Peer]) -> Self {
        let given = given.iter().cloned();
        Self {
            given: given.map(|peer| (peer.name, peer.path)).collect(),
        }
    }

    /// A static AVML: the one that was given, or the cache's, which is built when
    /// it is not there.
    pub fn avml(&self) -> Result<PathBuf> {
        if let Some(path) = self.given.get(AVML) {
            ensure!(path.is_file(), "there is no {}", path.display());
            return Ok(path.clone());
        }
        let folder = Cache::open()?.tools().join(AVML);
        let built = folder.join("bin").join(AVML);
        if !built.is_file() {
            install(&folder).context(
                "there is no AVML to compare with, and it could not be built; a static one can \
                 be given by --peer avml=PATH",
            )?;
        }
        Ok(built)
    }
}

/// Builds the newest AVML into `folder`.
fn install(folder: &Path) -> Result<()> {
    eprintln!("[bench] building AVML by cargo install; this takes several minutes");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["install", AVML, "--locked", "--quiet", "--target", TARGET])
        .arg("--root")
        .arg(folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir("/")
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo install avml ended with {status}");
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
