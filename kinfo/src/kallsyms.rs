// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/kallsyms and System.map: a kernel's symbols, a line each (`s_show` in
//! kernel/kallsyms.c).
//!
//! ```text
//! ffffffff81000000 T _text
//! ffffffffc0212000 t e1000_probe    [e1000]
//! ```
//!
//! An address, the letter that nm prints, the name, and for symbols of modules a tab
//! and the module in brackets. System.map has the kernel's own symbols only.
//!
//! There are three ways to get [`Symbol`]s: [`Symbol::parse`] for one line, [`Lines`] for
//! text in memory, and [`Scanner`] for text that arrives in pieces of any size.

use linpmem_phys::hex;
use std::io::{self, BufRead, Read as _};

/// The longest name (`KSYM_NAME_LEN` since Linux 6.1; 128 before).
pub const MAX_NAME_BYTES: usize = 512;

/// Longer lines are not the kernel's: a name and a module's fit several times over.
const MAX_LINE_BYTES: usize = 4096;

/// Addresses have 16 digits on 64-bit kernels and 8 on others; words that merely
/// consist of hexadecimal letters are shorter.
const ADDRESS_DIGITS: std::ops::RangeInclusive<usize> = 8..=16;

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its address on that boot; 0 where the kernel hides it. Per-CPU variables have
    /// offsets within their area, which begin at 0 on some kernels.
    pub address: u64,
    /// What it is.
    pub kind: SymbolKind,
    /// Its name.
    pub name: &'a str,
    /// The module that it belongs to; `None` for the kernel's own.
    pub module: Option<&'a str>,
}

/// What a symbol is, by the letter that nm prints for it: `T` and `t` for code, `D`
/// and `d` for data, `R` and `r` for constants, `B` and `b` for zeroed data, `A` for
/// absolute values, `W` and `V` for weak symbols. Upper case means that the name is
/// known outside of its source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolKind(u8);

/// A line that is not a symbol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number} is not a kernel symbol (ADDRESS LETTER NAME): `{text}`")]
pub struct LineError {
    /// Counted from 1.
    pub number: u64,
    /// The beginning of the line.
    pub text: String,
}

/// Whether a list shows addresses. The kernel prints each as 0 to readers without
/// CAP_SYSLOG, and to all with kernel.kptr_restrict=2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visibility {
    has_symbols: bool,
    has_addresses: bool,
}

impl<'a> Symbol<'a> {
    /// The symbol in `line`, which may end with a line feed; `None` if it is not one.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?;
        if !ADDRESS_DIGITS.contains(&address.len()) {
            return None;
        }
        let address = hex::parse_u64(address)?;
        let kind = match words.next()?.as_bytes() {
            [letter] => SymbolKind::new(*letter)?,
            _ => return None,
        };
        let name = words.next()?;
        if name.len() > MAX_NAME_BYTES {
            return None;
        }
        let module = words
            .next()
            .and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
        Some(Self {
            address,
            kind,
            name,
            module,
        })
    }
}

impl SymbolKind {
    /// The kind with this letter; `None` if nm prints no such.
    #[must_use]
    pub const fn new(letter: u8) -> Option<Self> {
        if letter.is_ascii_alphabetic() || letter == b'?' || letter == b'-' {
            Some(Self(letter))
        } else {
            None
        }
    }

    /// The letter.
    #[must_use]
    pub fn letter(self) -> char {
        char::from(self.0)
    }

    /// Whether another definition takes precedence.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self.0, b'W' | b'V' | b'w' | b'v')
    }

    /// Whether the name is known outside of its source file, so that it is the only
    /// one of that name but for weak ones.
    #[must_use]
    pub const fn is_global(self) -> bool {
        self.0.is_ascii_uppercase() && !self.is_weak()
    }

    /// Whether it is code.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self.0, b'T' | b't' | b'W' | b'w')
    }
}

impl Visibility {
    /// Adds a symbol's address.
    pub const fn see(&mut self, address: u64) {
        self.has_symbols = true;
        self.has_addresses |= address != 0;
    }

    /// Whether there are addresses, and all of them are 0.
    #[must_use]
    pub const fn are_hidden(self) -> bool {
        self.has_symbols && !self.has_addresses
    }
}

/// The symbols in a text, each line of which has to be one; empty lines may be
/// among them.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: u64,
}

impl<'a> Lines<'a> {
    /// The symbols in `text`.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            number: 0,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Symbol<'a>, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|&byte| byte == b'\n');
            let (line, rest) = match end {
                Some(end) => (self.rest.get(..end)?, self.rest.get(end + 1..)?),
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            self.number += 1;
            if !line.is_empty() {
                return Some(Symbol::parse(line).ok_or_else(|| LineError::new(self.number, line)));
            }
        }
        None
    }
}

impl LineError {
    fn new(number: u64, line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line).chars().take(80).collect();
        Self { number, text }
    }
}

/// The symbols in text that arrives in pieces. Skips lines that are not symbols, and lines
/// longer than any of the kernel's; keeps only one line in memory.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    /// A line whose end has not arrived yet.
    line: Vec<u8>,
    /// The line is too long, and the rest of it is skipped.
    is_too_long: bool,
}

impl Scanner {
    /// Calls `found` for each symbol whose line ends in `piece`.
    pub fn feed(&mut self, piece: &[u8], mut found: impl FnMut(&Symbol<'_>)) {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            let room = MAX_LINE_BYTES.checked_sub(self.line.len());
            self.is_too_long |= room.is_none_or(|room| part.len() > room);
            if !self.is_too_long {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_line(&mut found);
            }
        }
    }

    /// Calls `found` for the last line, if it is a symbol and has no line feed.
    pub fn finish(mut self, mut found: impl FnMut(&Symbol<'_>)) {
        self.end_line(&mut found);
    }

    fn end_line(&mut self, found: &mut impl FnMut(&Symbol<'_>)) {
        if !self.is_too_long {
            if let Some(symbol) = Symbol::parse(&self.line) {
                found(&symbol);
            }
        }
        self.line.clear();
        self.is_too_long = false;
    }
}

/// The symbols that a reader gives, one after another.
#[derive(Debug)]
pub struct Reader<R> {
    lines: R,
    line: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// The symbols in `lines`.
    pub const fn new(lines: R) -> Self {
        Self {
            lines,
            line: Vec::new(),
        }
    }

    /// The next symbol. Lines that are not symbols are skipped.
    ///
    /// # Errors
    /// The reader's; `InvalidData` if a line is longer than any of the kernel's.
    pub fn next_symbol(&mut self) -> io::Result<Option<Symbol<'_>>> {
        while self.next_line()? {
            if Symbol::parse(&self.line).is_some() {
                // Parsed again: the borrow checker cannot see through the loop.
                return Ok(Symbol::parse(&self.line));
            }
        }
        Ok(None)
    }

    /// Whether there was one.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let limit = linpmem_phys::num::usize_as_u64(MAX_LINE_BYTES);
        (&mut self.lines)
            .take(limit)
            .read_until(b'\n', &mut self.line)?;
        if self.line.len() == MAX_LINE_BYTES && !self.line.ends_with(b"\n") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line is longer than any that the kernel writes to /proc/kallsyms",
            ));
        }
        Ok(!self.line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"ffffffff81000000 T _text\n\
        ffffffffc0212000 t e1000_probe\t[e1000]\n\n\
        0000000000000000 A fixed_percpu_data";

    fn names<'a>(symbols: &[Symbol<'a>]) -> Vec<(&'a str, Option<&'a str>)> {
        symbols.iter().map(|one| (one.name, one.module)).collect()
    }

    #[test]
    fn a_line_has_address_kind_name_and_module() {
        let symbol = Symbol::parse(b"ffffffffc0212000 t e1000_probe\t[e1000]\n").unwrap();
        assert_eq!(symbol.address, 0xffff_ffff_c021_2000);
        assert_eq!(symbol.kind.letter(), 't');
        assert_eq!((symbol.name, symbol.module), ("e1000_probe", Some("e1000")));
        // 32-bit kernels.
        assert_eq!(
            Symbol::parse(b"c1000000 T _text").unwrap().address,
            0xc100_0000
        );
        let builtin = Symbol::parse(b"ffffffff81000000 t x\t[__builtin__ftrace]").unwrap();
        assert_eq!(builtin.module, Some("__builtin__ftrace"));
    }

    #[test]
    fn other_lines_are_not_symbols() {
        let long = format!("ffffffff81000000 T {}", "n".repeat(513));
        for line in [
            "",
            "nonsense",
            "ffffffff81000000",
            "ffffffff81000000 T",
            "ffffffff81000000 TT _text",
            "ffffffff81000000 1 _text",
            "+fffffff81000000 T _text",
            "0xffffffff81000000 T _text",
            "ffffffff810000000 T _text",
            "fffffff T _text",
            "dead T beef",
            long.as_str(),
        ] {
            assert_eq!(Symbol::parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(Symbol::parse(b"ffffffff81000000 T \xff"), None);
    }

    #[test]
    fn kinds_say_which_of_two_names_counts() {
        let kind = |letter| SymbolKind::new(letter).unwrap();
        assert!(kind(b'T').is_global() && !kind(b't').is_global());
        assert!(kind(b'W').is_weak() && !kind(b'W').is_global());
        assert!(kind(b'w').is_text() && kind(b't').is_text() && !kind(b'D').is_text());
        assert_eq!(kind(b'?').letter(), '?');
        assert_eq!(SymbolKind::new(b' '), None);
        assert_eq!(SymbolKind::new(0xff), None);
    }

    #[test]
    fn texts_are_read_line_by_line_and_the_wrong_one_is_named() {
        let symbols: Vec<_> = Lines::new(TEXT).map(Result::unwrap).collect();
        assert_eq!(
            names(&symbols),
            [
                ("_text", None),
                ("e1000_probe", Some("e1000")),
                ("fixed_percpu_data", None)
            ]
        );
        let text = [&TEXT[..25], b"\nnot a symbol\n", &[b'x'; 200]].concat();
        let found: Vec<_> = Lines::new(&text).collect();
        let error = found[1].clone().unwrap_err();
        assert_eq!((error.number, error.text.as_str()), (3, "not a symbol"));
        assert_eq!(found[2].clone().unwrap_err().text.len(), 80);
        assert_eq!(Lines::new(b"\n\n").count(), 0);
    }

    #[test]
    fn lines_are_seen_however_they_are_cut() {
        let long = "x".repeat(5000);
        let text = [long.as_bytes(), b"\n", TEXT].concat();
        for step in [1, 7, 4096, text.len()] {
            let mut found = Vec::new();
            let mut scanner = Scanner::default();
            let mut see = |symbol: &Symbol<'_>| found.push(symbol.name.to_owned());
            for piece in text.chunks(step) {
                scanner.feed(piece, &mut see);
                assert!(scanner.line.len() <= MAX_LINE_BYTES);
            }
            scanner.finish(&mut see);
            assert_eq!(
                found,
                ["_text", "e1000_probe", "fixed_percpu_data"],
                "{step}"
            );
        }
    }

    #[test]
    fn readers_give_symbols_and_refuse_a_line_without_an_end() {
        let mut reader = Reader::new(TEXT);
        let mut found = 0;
        while let Some(symbol) = reader.next_symbol().unwrap() {
            assert_ne!(symbol.name, "");
            found += 1;
        }
        assert_eq!(found, 3);
        let mut endless = Reader::new(io::BufReader::new(io::repeat(b'f')));
        let error = endless.next_symbol().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn addresses_are_hidden_if_all_are_0() {
        let mut visibility = Visibility::default();
        assert!(!visibility.are_hidden());
        visibility.see(0);
        assert!(visibility.are_hidden());
        visibility.see(1);
        visibility.see(0);
        assert!(!visibility.are_hidden());
    }
}
