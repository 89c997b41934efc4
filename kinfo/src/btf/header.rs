// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header: `struct btf_header` of the kernel's `include/uapi/linux/btf.h`.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | magic, 0xeb9f |
//! | 2 | 1 | version, 1 |
//! | 3 | 1 | flags |
//! | 4 | 4 | length of the header; sections are placed from its end |
//! | 8 | 4 | offset of the types |
//! | 12 | 4 | their length in bytes |
//! | 16 | 4 | offset of the strings |
//! | 20 | 4 | their length in bytes |

use super::bytes::{u16_at, u32_at};
use super::error::BtfError;
use linpmem_phys::num::{u32_as_usize, u64_as_usize, usize_as_u64};

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
const MIN_LEN: u32 = 24;

/// A kernel with all debugging options has about 30 MiB.
pub(super) const MAX_LEN: u64 = 256 << 20;

/// The two sections, each no longer than [`MAX_LEN`].
pub(super) struct Sections<'a> {
    pub(super) types: &'a [u8],
    pub(super) strings: &'a [u8],
}

/// Finds the sections.
pub(super) fn sections(bytes: &[u8]) -> Result<Sections<'_>, BtfError> {
    let len = usize_as_u64(bytes.len());
    if len > MAX_LEN {
        return Err(BtfError::TooLarge { len, max: MAX_LEN });
    }
    if u16_at(bytes, 0) != Some(MAGIC) || bytes.get(2) != Some(&VERSION) {
        return Err(BtfError::Magic {
            found: bytes.iter().take(3).copied().collect(),
        });
    }
    let truncated = |what, end| BtfError::Truncated { what, end, len };
    let field = |at| u32_at(bytes, at).ok_or(truncated("the header", u64::from(MIN_LEN)));
    let header = field(4)?;
    if header < MIN_LEN {
        return Err(truncated("the header", u64::from(MIN_LEN)));
    }
    let section = |what, offset: u32, section_len: u32| {
        // Sums of three 32-bit numbers fit 64 bits.
        let start = u64::from(header) + u64::from(offset);
        let end = start + u64::from(section_len);
        let part = bytes.get(u64_as_usize(start)..u64_as_usize(end));
        part.ok_or(truncated(what, end))
    };
    Ok(Sections {
        types: section("the types", field(8)?, field(12)?)?,
        strings: section("the strings", field(16)?, field(20)?)?,
    })
}

/// The longest name: the kernel's own limit, `KSYM_NAME_LEN`.
const MAX_NAME: usize = crate::kallsyms::MAX_NAME_BYTES;

/// The text at `offset`, up to its zero byte.
pub(super) fn text(strings: &[u8], offset: u32) -> Option<&str> {
    let rest = strings.get(u32_as_usize(offset)..)?;
    let len = rest.iter().take(MAX_NAME).position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..len)?).ok()
}
