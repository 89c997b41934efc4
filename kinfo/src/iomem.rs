// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/iomem: a kernel's map of physical addresses (`r_show` in kernel/resource.c).
//!
//! ```text
//! 00100000-1ffdffff : System RAM
//!   0b000000-0c0fffff : Kernel code
//! ```
//!
//! Both addresses are hexadecimal and belong to the entry. Entries are in the order
//! of a walk through a tree, parents before children, and each level is indented by
//! two blanks. Names are whatever a driver chose, and not always text.
//!
//! What an address *is* follows from all entries that contain it; the rules for that
//! are up to the program that builds a map of them.

use linpmem_phys::{PhysAddr, PhysRange, RegionKind, hex};
use std::borrow::Cow;

/// The file.
pub const PATH: &str = "/proc/iomem";

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// 0 for the outermost.
    pub depth: usize,
    /// The addresses.
    pub range: PhysRange,
    /// The name; characters that are not UTF-8 are replaced.
    pub name: Cow<'a, str>,
}

/// Text that is malformed, or shows no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IomemError {
    /// A line that is not `FIRST-LAST : NAME`.
    #[error("line {number} of {PATH} is malformed: `{text}`")]
    Line {
        /// Counted from 1.
        number: usize,
        /// The line.
        text: String,
    },
    /// An entry that ends before it begins.
    #[error("{PATH} has an entry that ends before it begins: {first:#x}-{last:#x} : {name}")]
    Inverted {
        /// The first address.
        first: u64,
        /// The last address.
        last: u64,
        /// The name.
        name: String,
    },
    /// The kernel hides the addresses.
    #[error(
        "{PATH} shows every address as 0, as it does to readers without CAP_SYS_ADMIN: run as \
         root, in a container with that capability"
    )]
    Hidden,
}

impl Entry<'_> {
    /// What the entry is by its name alone, whatever entries contain it.
    #[must_use]
    pub fn kind(&self) -> RegionKind {
        RegionKind::from_iomem_name(&self.name)
    }
}

/// The entries in `text`, in its order. Resources of no bytes, which the kernel prints
/// with their end below their start, are left out.
///
/// # Errors
/// If a line is not an entry, or if every address is 0 because the kernel hides them
/// from the reader.
pub fn parse(text: &[u8]) -> Result<Vec<Entry<'_>>, IomemError> {
    let mut entries = Vec::new();
    let (mut has_lines, mut has_addresses) = (false, false);
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let entry = RawEntry::parse(line).ok_or_else(|| IomemError::Line {
            number: index + 1,
            text: String::from_utf8_lossy(line).into_owned(),
        })?;
        has_lines = true;
        has_addresses |= (entry.first, entry.last) != (0, 0);
        entries.extend(entry.entry()?);
    }
    if has_lines && !has_addresses {
        return Err(IomemError::Hidden);
    }
    Ok(entries)
}

/// A line.
struct RawEntry<'a> {
    depth: usize,
    first: u64,
    last: u64,
    name: Cow<'a, str>,
}

impl<'a> RawEntry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        const BETWEEN: &[u8] = b" : ";
        let blanks = line.iter().take_while(|&&byte| byte == b' ').count();
        let line = line.get(blanks..)?;
        let at = line
            .windows(BETWEEN.len())
            .position(|window| window == BETWEEN)?;
        let (ends, name) = line.split_at_checked(at)?;
        let (first, last) = std::str::from_utf8(ends).ok()?.split_once('-')?;
        Some(Self {
            depth: blanks / 2,
            first: hex::parse_u64(first)?,
            last: hex::parse_u64(last)?,
            name: String::from_utf8_lossy(name.strip_prefix(BETWEEN)?),
        })
    }

    /// The entry, unless it has no bytes.
    fn entry(self) -> Result<Option<Entry<'a>>, IomemError> {
        let Self {
            depth,
            first,
            last,
            name,
        } = self;
        if last.checked_add(1) == Some(first) {
            return Ok(None);
        }
        // No range holds the address 2^64 − 1; nor does any machine.
        let end = PhysAddr::new(last.min(u64::MAX - 1));
        match PhysRange::from_inclusive(PhysAddr::new(first), end) {
            Ok(range) => Ok(Some(Entry { depth, range, name })),
            Err(_) => Err(IomemError::Inverted {
                first,
                last,
                name: name.into_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(usize, String, String)> {
        parse(text.as_bytes())
            .unwrap()
            .iter()
            .map(|entry| (entry.depth, entry.range.to_string(), entry.name.to_string()))
            .collect()
    }

    #[test]
    fn entries_have_depth_range_and_name() {
        let text = "00001000-0009fbff : System RAM\n  00002000-00002fff : Kernel code\n\
                    000a0000-000bffff : PCI Bus 0000:00\n  000a0000-000affff : odd : name\n";
        let row = |depth, range: &str, name: &str| (depth, range.to_owned(), name.to_owned());
        assert_eq!(
            parsed(text),
            [
                row(0, "0x1000-0x9fbff", "System RAM"),
                row(1, "0x2000-0x2fff", "Kernel code"),
                row(0, "0xa0000-0xbffff", "PCI Bus 0000:00"),
                row(1, "0xa0000-0xaffff", "odd : name"),
            ]
        );
        assert_eq!(
            parse(text.as_bytes()).unwrap()[0].kind(),
            RegionKind::SystemRam
        );
        assert_eq!(parsed(""), []);
    }

    #[test]
    fn names_need_not_be_text_and_kinds_follow_from_them() {
        let text = b"00001000-00001fff : dev\xff\xfeice\n00002000-00002fff : System RAM (kmem)\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries[0].name, "dev\u{fffd}\u{fffd}ice");
        assert_eq!(entries[0].kind(), RegionKind::Device);
        assert_eq!(entries[1].kind(), RegionKind::SystemRam);
    }

    #[test]
    fn the_end_of_the_address_space_and_empty_resources_are_taken_as_they_are() {
        let text = "00001000-00001fff : a\n00005000-00004fff : none\n\
                    00000000-ffffffffffffffff : PCI mem\n00000000-00000000 : b\n";
        let entries = parsed(text);
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[1].1, "0x0-0xfffffffffffffffe");
        assert_eq!(entries[2].1, "0x0-0x0");
    }

    #[test]
    fn hidden_addresses_are_an_error_that_says_what_to_do() {
        let text = b"00000000-00000000 : Reserved\n  00000000-00000000 : System RAM\n";
        let error = parse(text).unwrap_err();
        assert_eq!(error, IomemError::Hidden);
        assert!(error.to_string().contains("root"), "{error}");
    }

    #[test]
    fn what_the_kernel_does_not_write_is_refused_by_line() {
        for text in [
            "nonsense",
            "1000 : System RAM",
            "zz-ff : System RAM",
            "+1-ff : System RAM",
            "0x1000-0x1fff : System RAM",
            "1000-1fff: System RAM",
            "10000000000000000-1ffffffffffffffff : System RAM",
        ] {
            let all = format!("00000000-00000fff : Reserved\n{text}\n");
            let (number, text) = (2, text.to_owned());
            assert_eq!(
                parse(all.as_bytes()),
                Err(IomemError::Line { number, text })
            );
        }
        assert!(matches!(
            parse(b"00002000-00000fff : System RAM\n"),
            Err(IomemError::Inverted { .. })
        ));
    }
}
