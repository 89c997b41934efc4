// SPDX-License-Identifier: MIT OR Apache-2.0
//! A list of ranges in a file of somebody's: for images that do not have their own.

use super::planned::planned;
use super::{Iomem, IomemError, IomemTextError};
use linpmem_formats::PlannedRange;
use linpmem_manifest::{Address, Beginning, ReadError};
use linpmem_phys::num::{len_bytes, usize_as_u64};
use linpmem_phys::{ParseError, PhysAddr, PhysRange, RegionKind};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A list for 100,000 ranges has 16 MiB as JSON.
const MAX_BYTES: u64 = 32 << 20;

/// The most ranges. An image of a machine has a few dozen.
const MAX_RANGES: usize = 1 << 20;

/// What a manifest begins with.
const MANIFEST: &[u8] = b"{\"header\"";

/// The documents of this program that list ranges.
const DOCUMENTS: [&str; 2] = ["linpmem-dump ranges", "linpmem-dump info"];

/// Ranges of memory, as a file lists them.
#[derive(Debug)]
pub(super) struct RangeList {
    pub(super) ranges: Vec<PlannedRange>,
    /// Lines that were skipped.
    pub(super) warnings: Vec<String>,
}

/// A file that lists no ranges.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum RangeListError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// It is too long.
    #[error("{path} has more than {MAX_BYTES} bytes: it is not a list of ranges")]
    TooLong { path: PathBuf },
    /// It lists too many ranges.
    #[error("{path} lists more than {MAX_RANGES} ranges")]
    TooMany { path: PathBuf },
    /// It is a damaged manifest.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// It is a copy of /proc/iomem as others than root see it.
    #[error(
        "{path}: every address in this copy of /proc/iomem is 0, as the kernel shows it to anyone \
         but root: copy it as root"
    )]
    Hidden { path: PathBuf },
    /// It is a copy of /proc/iomem, and no map of memory.
    #[error("{path}: {source}")]
    Iomem { path: PathBuf, source: IomemError },
    /// It is JSON, but not ours.
    #[error(
        "{path} is not the JSON of `linpmem-dump ranges` or `linpmem-dump info`, nor a manifest: \
         {reason}"
    )]
    Json { path: PathBuf, reason: String },
    /// A line is none of a list.
    #[error(
        "{path}, line {number}: {source}. The file may be a copy of /proc/iomem, the output of \
         `linpmem-dump ranges --json`, a manifest, or have a range on each line"
    )]
    Line {
        path: PathBuf,
        number: usize,
        source: ParseError,
    },
    /// There is nothing in it.
    #[error("{path} lists no ranges of memory")]
    Empty { path: PathBuf },
}

/// A document of [`DOCUMENTS`], as far as it matters.
#[derive(Deserialize)]
struct Listing {
    format: String,
    ranges: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    start: Address,
    last: Address,
    kind: Option<String>,
    /// In the map of a machine: whether an acquisition reads it.
    read: Option<bool>,
    /// In an image: what it has of the range.
    content: Option<String>,
}

impl RangeList {
    /// The ranges that the file at `path` lists. It need not be a regular file: the user has
    /// named it.
    ///
    /// # Errors
    /// If it lists none, or is none of the kinds of lists that are known.
    pub(super) fn read(path: &Path) -> Result<Self, RangeListError> {
        let failed = |source| RangeListError::Io {
            path: path.to_path_buf(),
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        let mut text = Vec::new();
        let mut begin = file.by_ref().take(len_bytes(MANIFEST));
        begin.read_to_end(&mut text).map_err(failed)?;
        let list = if text == MANIFEST {
            // Its chunks may make it longer than any list.
            let beginning = Beginning::read(path)?;
            let ranges = planned(&beginning).into_iter().map(|known| PlannedRange {
                range: known.range,
                kind: known.kind,
            });
            Self::of(ranges.collect())
        } else {
            let rest = MAX_BYTES - usize_as_u64(text.len());
            let read = file.take(rest + 1).read_to_end(&mut text);
            if usize_as_u64(read.map_err(failed)?) > rest {
                return Err(RangeListError::TooLong {
                    path: path.to_path_buf(),
                });
            }
            Self::parse(&text, path)?
        };
        let path = || path.to_path_buf();
        match list.ranges.len() {
            0 => Err(RangeListError::Empty { path: path() }),
            1..=MAX_RANGES => Ok(list),
            _ => Err(RangeListError::TooMany { path: path() }),
        }
    }

    const fn of(ranges: Vec<PlannedRange>) -> Self {
        Self {
            ranges,
            warnings: Vec::new(),
        }
    }

    fn parse(text: &[u8], path: &Path) -> Result<Self, RangeListError> {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.lines().map(str::trim).filter(|line| is_entry(line));
        match lines.next() {
            Some(first) if first.starts_with('{') => json(&text, path).map(Self::of),
            Some(first) if first.contains(" : ") => Self::of_iomem(text.into_owned(), path),
            _ => typed(&text, path).map(Self::of),
        }
    }

    /// The System RAM in a copy of /proc/iomem.
    fn of_iomem(text: String, path: &Path) -> Result<Self, RangeListError> {
        let iomem = Iomem::parse(text).map_err(|source| match source {
            IomemError::Text(IomemTextError::Hidden) => RangeListError::Hidden {
                path: path.to_path_buf(),
            },
            source => RangeListError::Iomem {
                path: path.to_path_buf(),
                source,
            },
        })?;
        let ranges = iomem.map.ram().map(|range| PlannedRange {
            range,
            kind: RegionKind::SystemRam,
        });
        Ok(Self {
            ranges: ranges.collect(),
            warnings: iomem.warnings,
        })
    }
}

/// Whether a line is neither empty nor a comment.
fn is_entry(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

fn json(text: &str, path: &Path) -> Result<Vec<PlannedRange>, RangeListError> {
    let wrong = |reason: String| RangeListError::Json {
        path: path.to_path_buf(),
        reason,
    };
    let listing: Listing = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if !DOCUMENTS.contains(&&*listing.format) {
        return Err(wrong(format!("it is that of `{}`", listing.format)));
    }
    let is_there =
        |listed: &Listed| listed.read != Some(false) && listed.content.as_deref() != Some("absent");
    let ranges = listing.ranges.into_iter().filter(is_there).map(|listed| {
        let [first, last] = [listed.start, listed.last].map(|address| PhysAddr::new(address.0));
        let range = PhysRange::from_inclusive(first, last)
            .map_err(|_| wrong(format!("{first} to {last} is not a range")))?;
        let kind = listed.kind.as_deref();
        Ok(PlannedRange {
            range,
            kind: kind.map_or(RegionKind::SystemRam, RegionKind::from_name),
        })
    });
    ranges.collect()
}

/// A range on each line.
fn typed(text: &str, path: &Path) -> Result<Vec<PlannedRange>, RangeListError> {
    let lines = text.lines().map(str::trim).zip(1..);
    let ranges = lines
        .filter(|(line, _)| is_entry(line))
        .map(|(line, number)| {
            let range = line.parse().map_err(|source| RangeListError::Line {
                path: path.to_path_buf(),
                number,
                source,
            })?;
            Ok(PlannedRange {
                range,
                kind: RegionKind::SystemRam,
            })
        });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, RegionKind)>, String> {
        let list = RangeList::parse(text.as_bytes(), Path::new("f"));
        let list = list.map_err(|error| error.to_string())?;
        let row = |known: &PlannedRange| (known.range.to_string(), known.kind);
        Ok(list.ranges.iter().map(row).collect())
    }

    fn rows(rows: &[(&str, RegionKind)]) -> Vec<(String, RegionKind)> {
        let owned = rows
            .iter()
            .map(|(range, kind)| ((*range).to_owned(), *kind));
        owned.collect()
    }

    #[test]
    fn every_kind_of_list_is_understood() {
        let (ram, reserved) = (RegionKind::SystemRam, RegionKind::Reserved);
        let iomem = "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n\
                     00100000-1fffffff : System RAM\n  01000000-01ffffff : Kernel code\n";
        let two = rows(&[("0x1000-0x9fbff", ram), ("0x100000-0x1fffffff", ram)]);
        assert_eq!(parsed(iomem).unwrap(), two);
        let lines = "# typed\n\n0x1000-0x9fbff\n  0x100000+511MiB  \n";
        assert_eq!(parsed(lines).unwrap(), two);
        let map = r#"{"format":"linpmem-dump ranges","version":1,"read_bytes":1,"ranges":[
            {"start":"0x0","last":"0xfff","size_bytes":4096,"kind":"Reserved","read":true,"source":null},
            {"start":"0x1000","last":"0x1fff","size_bytes":4096,"kind":"System RAM","read":true,"source":null},
            {"start":"0x2000","last":"0x2fff","size_bytes":4096,"kind":"System RAM","read":false,"source":null}]}"#;
        let read = rows(&[("0x0-0xfff", reserved), ("0x1000-0x1fff", ram)]);
        assert_eq!(parsed(map).unwrap(), read);
        let image = r#"{"format":"linpmem-dump info","ranges":[
            {"start":"0x1000","last":"0x1fff","kind":null,"content":"data"},
            {"start":"0x2000","last":"0x2fff","kind":"System RAM","content":"absent"}]}"#;
        assert_eq!(parsed(image).unwrap(), rows(&[("0x1000-0x1fff", ram)]));
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_place() {
        for (text, expected) in [
            ("0x1000-0x1fff\nhello\n", "f, line 2: `hello`"),
            ("1000-9fbff\n", "need it: 0x1000-0x9fbff"),
            ("0x2000-0x1000\n", "below the first"),
            ("0x0-0xffffffffffffffff\n", "must end below 2^64"),
            ("00000000-00000000 : System RAM\n", "copy it as root"),
            ("00000000-00000fff : Reserved\n", "lists no System RAM"),
            (
                "{\"format\":\"linpmem-dump ls\",\"ranges\":[]}",
                "it is that of `linpmem-dump ls`",
            ),
            ("{\"a\":1}", "missing field"),
            (
                "{\"format\":\"linpmem-dump ranges\",\"ranges\":[{\"start\":\"0x2\",\"last\":\"0x1\"}]}",
                "is not a range",
            ),
            ("{", "EOF"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_list_without_end_or_without_ranges_is_refused() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let error = RangeList::read(empty.path()).unwrap_err();
        assert!(matches!(error, RangeListError::Empty { .. }), "{error}");
        let error = RangeList::read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, RangeListError::TooLong { .. }), "{error}");
    }
}
