// SPDX-License-Identifier: MIT OR Apache-2.0
//! The swap areas of this machine, as /proc/swaps lists them.

use super::area_reader::{Expected, Gap};
use crate::sink::SpaceError;
use crate::timeout::{Patience, TimeoutFile};
use linpmem_phys::PhysLen;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SWAPS: &str = "/proc/swaps";
/// The kernel has 32 areas at most, and paths of 4096 bytes, each of which may take four.
const MAX_BYTES: u64 = 1 << 20;
const MAX_AREAS: usize = 32;
/// What the kernel says of a file that is deleted.
const DELETED: &str = " (deleted)";

/// Why an area was not kept.
pub(super) const NOT_WANTED: &str = "--add-swap was not given";

/// A swap area.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapArea {
    /// Its path, as the kernel says; what is not UTF-8 in it is U+FFFD.
    pub name: String,
    /// `partition` or `file`.
    pub kind: String,
    /// Bytes of its pages that can be used: the header's page is not among them.
    pub size_bytes: u64,
    /// Bytes of those that were in use, when artifacts were collected.
    pub used_bytes: u64,
    /// The kernel fills those with a higher one first.
    pub priority: i32,
    /// The artifact with its bytes.
    pub artifact: Option<String>,
    /// Why there is none.
    pub missing: Option<String>,
    /// Pages that could not be read, and are zero in the artifact.
    #[serde(default)]
    pub unreadable: Vec<Gap>,
}

/// Swap areas that cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The image does not fit with them.
    #[error("with the swap areas of {areas} (--add-swap), {source}, or leave out --add-swap")]
    Space {
        /// All of them.
        areas: PhysLen,
        /// What does not fit.
        source: SpaceError,
    },
    /// They would be in memory before they are encrypted or sent.
    #[error(
        "the swap areas of {areas} (--add-swap) would be kept in memory, as all artifacts are that          are encrypted or sent to another machine: more than {limit} of them would replace what is          to be acquired. Leave out --add-swap, or write the image to a disk without encryption"
    )]
    InMemory {
        /// All of them.
        areas: PhysLen,
        /// The most that is kept so.
        limit: PhysLen,
    },
    /// They have more than an archive can have.
    #[error("the swap areas have {areas} (--add-swap), and no more than {limit} can be kept")]
    TooLarge {
        /// All of them.
        areas: PhysLen,
        /// The most that can be kept.
        limit: PhysLen,
    },
}

/// An area, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedArea {
    pub(super) path: PathBuf,
    pub(super) area: SwapArea,
}

/// The areas, in the kernel's order. If /proc/swaps does not answer, that takes no longer than
/// `timeout`.
pub(crate) fn listed(timeout: Option<Duration>) -> io::Result<Vec<ListedArea>> {
    let patience = Patience::new(timeout);
    match TimeoutFile::all(Path::new(SWAPS), MAX_BYTES, &patience) {
        Ok(text) => Ok(parse(&text)),
        // A kernel without swap.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The bytes of all areas, with their headers.
pub(crate) fn total_bytes(areas: &[ListedArea]) -> u64 {
    let page = page_bytes();
    let sizes = areas.iter().map(|listed| listed.area.size_bytes);
    sizes.fold(0, |sum, size| sum.saturating_add(size).saturating_add(page))
}

fn page_bytes() -> u64 {
    linpmem_phys::num::usize_as_u64(rustix::param::page_size())
}

impl ListedArea {
    pub(super) fn expected(&self) -> Expected {
        Expected {
            is_file: self.area.kind == "file",
            usable_bytes: self.area.size_bytes,
            page_bytes: page_bytes(),
        }
    }

    /// What `error` of reading the area means.
    pub(super) fn reason(&self, error: &io::Error) -> String {
        let is_gone = error.kind() == io::ErrorKind::NotFound;
        match is_gone && self.path.to_string_lossy().ends_with(DELETED) {
            true => "its file was deleted, and has no name by which it can be read".to_owned(),
            false if is_gone => {
                "there is no such file here: it may be in another mount namespace".to_owned()
            }
            false => error.to_string(),
        }
    }
}

fn parse(text: &[u8]) -> Vec<ListedArea> {
    let lines = text.split(|&byte| byte == b'\n').skip(1);
    lines.filter_map(area).take(MAX_AREAS).collect()
}

/// `PATH KIND KIB USED-KIB PRIORITY`, with tabs or spaces between them.
fn area(line: &[u8]) -> Option<ListedArea> {
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    let path = PathBuf::from(OsString::from_vec(unescaped(words.next()?)));
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let kind = word()?.to_owned();
    let mut bytes = || word()?.parse::<u64>().ok()?.checked_mul(1024);
    Some(ListedArea {
        area: SwapArea {
            name: path.to_string_lossy().into_owned(),
            kind,
            size_bytes: bytes()?,
            used_bytes: bytes()?,
            priority: word()?.parse().ok()?,
            artifact: None,
            missing: Some(NOT_WANTED.to_owned()),
            unreadable: Vec::new(),
        },
        path,
    })
}

/// Without the escapes that the kernel writes: a backslash and three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.first_chunk::<3>().filter(|_| first == b'\\');
        let octal = digits.and_then(|digits| {
            let text = std::str::from_utf8(digits).ok();
            text.and_then(|text| u8::from_str_radix(text, 8).ok())
        });
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or(&[]);
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_listed_in_order_with_their_names_as_they_are() {
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
            /dev/vda2                               partition\t1048572\t\t12\t\t-2\n\
            /a\\040b\\011c\\134\\012d\\043 file 4 0 5\n\
            /swapfile\\040(deleted) file 1020 0 -3\n\
            short partition 1\n\
            /odd\\9\\ partition 18446744073709551615 0 1\n\
            /\xff\\ partition 8 8 32767\n";
        let areas = parse(text);
        let found: Vec<_> = areas
            .iter()
            .map(|it| {
                let area = &it.area;
                let sizes = (area.size_bytes, area.used_bytes);
                (area.name.as_str(), area.kind.as_str(), sizes, area.priority)
            })
            .collect();
        let expected = [
            ("/dev/vda2", "partition", (1_073_737_728, 12_288), -2),
            ("/a b\tc\\\nd#", "file", (4096, 0), 5),
            ("/swapfile (deleted)", "file", (1_044_480, 0), -3),
            ("/\u{fffd}\\", "partition", (8192, 8192), 32767),
        ];
        assert_eq!(found, expected);
        assert_eq!(areas[3].path.as_os_str().len(), 3);
        assert!(areas[1].expected().is_file && !areas[0].expected().is_file);
        let gone = io::Error::from(io::ErrorKind::NotFound);
        assert!(areas[2].reason(&gone).contains("deleted"));
        assert!(areas[0].reason(&gone).contains("mount namespace"));
        let page = page_bytes();
        assert_eq!(total_bytes(&areas[1..2]), 4096 + page);
    }

    #[test]
    fn more_areas_than_a_kernel_has_are_not_listed() {
        let text = "header\n".to_owned() + &"/a file 4 0 1\n".repeat(1000);
        assert_eq!(parse(text.as_bytes()).len(), 32);
        assert_eq!(parse(b""), []);
    }
}
