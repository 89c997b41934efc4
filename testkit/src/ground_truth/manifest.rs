// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of a manifest that tests need, read as plain JSON Lines: independent of the
//! crate that wrote it.

use super::{MappedFile, Piece};
use anyhow::{Context, Result, ensure};
use linpmem_phys::{PhysAddr, PhysRange};
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::path::Path;

/// A manifest of linpmem-dump.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The header's and the footer's members in one object, and in `ranges` the members of
    /// each range's first and last line, with the lines between them that list
    /// `unreadable` pages; and `second_pass_end`, if there was a second pass.
    pub json: Value,
}

impl Manifest {
    /// The manifest at `path`.
    ///
    /// # Errors
    /// If it cannot be read, is truncated, or is not JSON lines.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// The manifest with this content.
    ///
    /// # Errors
    /// If it is truncated, or is not JSON lines.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let (mut whole, mut ranges, mut last) = (Map::new(), Vec::new(), String::new());
        ensure!(text.ends_with(b"\n"), "the last line is torn");
        for (number, line) in text
            .trim_ascii_end()
            .split(|&byte| byte == b'\n')
            .enumerate()
        {
            let line: Map<String, Value> = serde_json::from_slice(line)
                .with_context(|| format!("line {} is not a JSON object", number + 1))?;
            let (name, value) = line.into_iter().next().context("an empty object")?;
            let range = ranges.last_mut().and_then(Value::as_object_mut);
            match (name.as_str(), value) {
                ("header" | "footer", Value::Object(members)) => whole.extend(members),
                ("range", Value::Object(mut members)) => {
                    members.insert("unreadable".to_owned(), Value::Array(Vec::new()));
                    ranges.push(Value::Object(members));
                }
                ("unreadable", item) => {
                    let list = range.and_then(|range| range.get_mut("unreadable"));
                    let list = list.and_then(Value::as_array_mut);
                    list.context("unreadable pages outside of a range")?
                        .push(item);
                }
                ("range_end", Value::Object(members)) => {
                    range.context("the end of no range")?.extend(members);
                }
                ("second_pass_end" | "artifacts", value) => {
                    whole.insert(name.clone(), value);
                }
                _ => {}
            }
            last = name;
        }
        ensure!(last == "footer", "truncated: the last line is {last}");
        whole.insert("ranges".to_owned(), Value::Array(ranges));
        Ok(Self { json: whole.into() })
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
        let all = self.refused()?.into_iter();
        Ok(all.map(|(range, _)| range).collect())
    }

    /// The pages that could not be read, and the name of the error for each.
    ///
    /// # Errors
    /// If their lists are missing, or an error has no name.
    pub fn refused(&self) -> Result<Vec<(PhysRange, &str)>> {
        let mut all = Vec::new();
        for entry in self.ranges()? {
            let list = entry.get("unreadable").and_then(Value::as_array);
            for item in list.context("a range without a list of unreadable pages")? {
                let name = item.get("name").and_then(Value::as_str);
                all.push((
                    range(item)?,
                    name.context("unreadable pages without a reason")?,
                ));
            }
        }
        Ok(all)
    }

    /// The parts of pages that the map calls partial and the image leaves out.
    ///
    /// # Errors
    /// If there is no map.
    pub fn partial_pages(&self) -> Result<Vec<PhysRange>> {
        let map = self.json.get("map").and_then(Value::as_array);
        let regions = map.context("no map in the manifest")?.iter();
        regions
            .filter(|region| region.get("kind").and_then(Value::as_str) == Some("Partial page"))
            .map(range)
            .collect()
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
