// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of a manifest that tests need, read as plain JSON.

use super::{MappedFile, Piece};
use anyhow::{Context, Result};
use linpmem_phys::{PhysAddr, PhysRange};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;

/// A manifest of linpmem-dump.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// All of it.
    pub json: Value,
}

impl Manifest {
    /// The manifest at `path`.
    ///
    /// # Errors
    /// If it cannot be read or is not JSON.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let json = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not JSON", path.display()))?;
        Ok(Self { json })
    }

    /// The ranges of the image, and the offsets of their data in it before compression.
    ///
    /// # Errors
    /// If they are missing.
    pub fn pieces(&self) -> Result<Vec<Piece>> {
        let piece = |entry: &Value| {
            let offset = entry.get("file_offset").and_then(Value::as_u64);
            Ok(Piece {
                range: range(entry)?,
                offset: offset.context("a range without file_offset")?,
            })
        };
        self.ranges()?.iter().map(piece).collect()
    }

    /// The kernel's names for the image's ranges, in their order.
    ///
    /// # Errors
    /// If they are missing.
    pub fn kinds(&self) -> Result<Vec<&str>> {
        let kinds = self.ranges()?.iter().map(|entry| {
            let kind = entry.get("kind").and_then(Value::as_str);
            kind.context("a range without kind")
        });
        kinds.collect()
    }

    /// The pages that could not be read.
    ///
    /// # Errors
    /// If their lists are missing.
    pub fn unreadable(&self) -> Result<Vec<PhysRange>> {
        let mut all = Vec::new();
        for entry in self.ranges()? {
            let list = entry.get("unreadable").and_then(Value::as_array);
            for item in list.context("a range without a list of unreadable pages")? {
                all.push(range(item)?);
            }
        }
        Ok(all)
    }

    /// The memory in the raw image at `path`, whose addresses are in the manifest only.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open_raw(&self, path: &Path) -> Result<MappedFile> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        MappedFile::new(file, self.pieces()?)
    }

    fn ranges(&self) -> Result<&Vec<Value>> {
        let ranges = self.json.get("ranges").and_then(Value::as_array);
        ranges.context("the manifest lists no ranges")
    }
}

fn range(entry: &Value) -> Result<PhysRange> {
    let address = |name: &str| {
        let text = entry.get(name).and_then(Value::as_str)?;
        let digits = text.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok().map(PhysAddr::new)
    };
    let start = address("start").context("a range without start")?;
    let last = address("last").context("a range without last")?;
    Ok(PhysRange::from_inclusive(start, last)?)
}
