// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header: `struct btf_header` of the kernel's `include/uapi/linux/btf.h`.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 2 | magic, 0xeb9f |
//! | 2 | 1 | version, 1 |
//! | 3 | 1 | flags |
//! | 4 | 4 | length of the header; sections are placed from its end |
//! | 8 | 4 | place of the types |
//! | 12 | 4 | their length in bytes |
//! | 16 | 4 | place of the strings |
//! | 20 | 4 | their length in bytes |

use super::bytes::{index, u16_at, u32_at};
use super::error::BtfError;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
const MIN_LEN: u32 = 24;

/// A kernel with all of its debugging has 30 MiB or so.
pub(crate) const MAX_LEN: u64 = 256 << 20;

/// The two sections.
pub(crate) struct Sections<'a> {
    pub(crate) types: &'a [u8],
    pub(crate) strings: &'a [u8],
}

/// Finds the sections.
pub(crate) fn sections(bytes: &[u8]) -> Result<Sections<'_>, BtfError> {
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if len > MAX_LEN {
        return Err(BtfError::TooLarge { len, max: MAX_LEN });
    }
    if u16_at(bytes, 0) != Some(MAGIC) || bytes.get(2) != Some(&VERSION) {
        let found = bytes.get(..bytes.len().min(3)).unwrap_or_default();
        return Err(BtfError::Magic {
            found: found.to_vec(),
        });
    }
    let short = |what, end| BtfError::Truncated { what, end, len };
    let field = |at| u32_at(bytes, at).ok_or(short("the header", u64::from(MIN_LEN)));
    let header = field(4)?;
    if header < MIN_LEN {
        return Err(short("the header", u64::from(MIN_LEN)));
    }
    let section = |what, at| {
        let (place, section_len) = (field(at)?, field(at.saturating_add(4))?);
        let start = u64::from(header).saturating_add(u64::from(place));
        let end = start.saturating_add(u64::from(section_len));
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let part = range.and_then(|(start, end)| bytes.get(start..end));
        part.ok_or(short(what, end))
    };
    let sections = Sections {
        types: section("the types", 8)?,
        strings: section("the strings", 16)?,
    };
    Ok(sections)
}

/// The longest name: the kernel's own limit, `KSYM_NAME_LEN`.
const MAX_NAME: usize = 512;

/// The text at `offset`, up to its NUL.
pub(crate) fn text(strings: &[u8], offset: u32) -> Option<&str> {
    let rest = strings.get(index(offset)..)?;
    let window = rest.get(..rest.len().min(MAX_NAME))?;
    let len = window.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(window.get(..len)?).ok()
}
