// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file as it is packed: nothing of it depends on the machine that packs it.

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// The mode of programs.
const PROGRAM_MODE: u32 = 0o755;

/// The mode of all other files.
const FILE_MODE: u32 = 0o644;

/// A file or a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it is, below the folder that it is unpacked into.
    pub path: String,
    /// What it is.
    pub content: Content,
}

/// What an [`Item`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file with this mode.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its mode.
        mode: u32,
    },
    /// A symbolic link to this.
    Link(String),
}

impl Item {
    /// A file that is read, not run.
    pub fn file(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::with_mode(path, bytes, FILE_MODE)
    }

    /// A program.
    pub fn program(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::with_mode(path, bytes, PROGRAM_MODE)
    }

    /// A copy of the file `from` that is read, not run.
    pub fn copy(path: impl Into<String>, from: &Path) -> Result<Self> {
        Ok(Self::file(path, read(from)?))
    }

    /// A symbolic link.
    pub fn link(path: impl Into<String>, to: impl Into<String>) -> Self {
        let (path, content) = (path.into(), Content::Link(to.into()));
        Self { path, content }
    }

    fn with_mode(path: impl Into<String>, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        let (path, bytes) = (path.into(), bytes.into());
        let content = Content::File { bytes, mode };
        Self { path, content }
    }
}

/// The bytes of the file `path`.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// `bytes` as gzip compresses them best, without a name and a time.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}
