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

/// What the text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<'a> {
    /// The entries, in the order of the text.
    pub entries: Vec<Entry<'a>>,
    /// The lines that are none.
    pub odd: Vec<OddLine>,
}

/// A line that is skipped. Drivers choose the names, and some of them choose one with a
/// line break, or leave the memory that it is in: that must not hide the rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number} of {PATH} was skipped, because {why}: `{text}`")]
pub struct OddLine {
    /// Counted from 1.
    pub number: usize,
    /// The line; characters that are not UTF-8 are replaced.
    pub text: String,
    /// What is wrong with it.
    pub why: Oddity,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Oddity {
    /// It is not `FIRST-LAST : NAME`.
    #[error("it is not an entry")]
    NotAnEntry,
    /// The last address is below the first.
    #[error("it ends before it begins")]
    Inverted,
}

/// Text without addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IomemError {
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
/// If every address is 0 because the kernel hides them from the reader.
pub fn parse(text: &[u8]) -> Result<Listing<'_>, IomemError> {
    let mut listing = Listing {
        entries: Vec::new(),
        odd: Vec::new(),
    };
    let (mut has_lines, mut has_addresses) = (false, false);
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let parsed = RawEntry::parse(line).ok_or(Oddity::NotAnEntry);
        if let Ok(entry) = &parsed {
            has_lines = true;
            has_addresses |= (entry.first, entry.last) != (0, 0);
        }
        match parsed.and_then(RawEntry::entry) {
            Ok(entry) => listing.entries.extend(entry),
            Err(why) => listing.odd.push(OddLine {
                number: index + 1,
                text: String::from_utf8_lossy(line).into_owned(),
                why,
            }),
        }
    }
    if has_lines && !has_addresses {
        return Err(IomemError::Hidden);
    }
    Ok(listing)
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
    fn entry(self) -> Result<Option<Entry<'a>>, Oddity> {
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
            Err(_) => Err(Oddity::Inverted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(usize, String, String)> {
        parse(text.as_bytes())
            .unwrap()
            .entries
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
            parse(text.as_bytes()).unwrap().entries[0].kind(),
            RegionKind::SystemRam
        );
        assert_eq!(parsed(""), []);
    }

    #[test]
    fn names_need_not_be_text_and_kinds_follow_from_them() {
        let text = b"00001000-00001fff : dev\xff\xfeice\n00002000-00002fff : System RAM (kmem)\n";
        let entries = parse(text).unwrap().entries;
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
    fn an_odd_line_is_skipped_and_hides_no_other() {
        for (text, why) in [
            ("nonsense", Oddity::NotAnEntry),
            ("1000 : System RAM", Oddity::NotAnEntry),
            ("zz-ff : System RAM", Oddity::NotAnEntry),
            ("+1-ff : System RAM", Oddity::NotAnEntry),
            ("0x1000-0x1fff : System RAM", Oddity::NotAnEntry),
            ("1000-1fff: System RAM", Oddity::NotAnEntry),
            (
                "10000000000000000-1ffffffffffffffff : System RAM",
                Oddity::NotAnEntry,
            ),
            ("00002000-00000fff : System RAM", Oddity::Inverted),
            ("   ", Oddity::NotAnEntry),
        ] {
            let all = format!("00000000-00000fff : Reserved\n{text}\n00001000-1fff : System RAM\n");
            let listing = parse(all.as_bytes()).unwrap();
            assert_eq!(listing.entries.len(), 2, "{text}");
            assert_eq!(
                listing.odd,
                [OddLine {
                    number: 2,
                    text: text.to_owned(),
                    why
                }]
            );
        }
    }

    #[test]
    fn names_can_be_empty_or_contain_a_line_break() {
        let text = b"00001000-00001fff : \n\n00002000-00002fff : dev\nice\n00003000-00003fff : c\n";
        let listing = parse(text).unwrap();
        let names: Vec<_> = listing.entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names, ["", "dev", "c"]);
        assert_eq!(listing.odd.len(), 1);
        assert_eq!(
            listing.odd[0].to_string(),
            "line 4 of /proc/iomem was skipped, because it is not an entry: `ice`"
        );
    }
}
