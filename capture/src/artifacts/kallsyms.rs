// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/kallsyms, line by line (`s_show` in kernel/kallsyms.c).

use std::io::{self, BufRead, Read};

/// Longer lines are none of the kernel's: its names end at 512 bytes.
const MAX_LINE_BYTES: usize = 4096;

/// Symbols, one after another. System.map is read as well: its lines are the
/// same, without modules.
#[derive(Debug)]
pub struct Kallsyms<R> {
    lines: R,
    line: Vec<u8>,
}

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its address on that boot; 0 where the kernel does not tell.
    pub address: u64,
    /// As nm prints it: `T`, `t`, `D` and so on.
    pub kind: char,
    /// Its name.
    pub name: &'a str,
    /// The module that it is of.
    pub module: Option<&'a str>,
}

impl<R: BufRead> Kallsyms<R> {
    /// The symbols in `lines`.
    pub const fn new(lines: R) -> Self {
        Self {
            lines,
            line: Vec::new(),
        }
    }

    /// The next symbol. Lines that tell none are passed over.
    ///
    /// # Errors
    /// The input's; `InvalidData` if a line is longer than any of the kernel's.
    pub fn next_symbol(&mut self) -> io::Result<Option<Symbol<'_>>> {
        while self.next_line()? {
            if parse(&self.line).is_some() {
                // Parsed again: the borrow checker cannot see through the loop.
                return Ok(parse(&self.line));
            }
        }
        Ok(None)
    }

    /// Whether there was one.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        let mut lines = (&mut self.lines).take(limit);
        lines.read_until(b'\n', &mut self.line)?;
        if self.line.len() == MAX_LINE_BYTES && !self.line.ends_with(b"\n") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line is longer than any of the kernel's",
            ));
        }
        Ok(!self.line.is_empty())
    }
}

/// One line.
pub(super) fn parse(line: &[u8]) -> Option<Symbol<'_>> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let mut kind = words.next()?.chars();
    let symbol = Symbol {
        address,
        kind: kind.next()?,
        name: words.next()?,
        module: words
            .next()
            .and_then(|word| word.strip_prefix('[')?.strip_suffix(']')),
    };
    kind.next().is_none().then_some(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_the_kernel_and_of_modules() {
        let text = "ffffffff81000000 T _text\nnonsense\n\
                    ffffffffc0212000 t e1000_probe\t[e1000]\n0000000000000000 A fixed_percpu_data";
        let mut symbols = Kallsyms::new(text.as_bytes());
        let text = Symbol {
            address: 0xffff_ffff_8100_0000,
            kind: 'T',
            name: "_text",
            module: None,
        };
        assert_eq!(symbols.next_symbol().unwrap(), Some(text));
        let probe = symbols.next_symbol().unwrap().unwrap();
        assert_eq!((probe.name, probe.module), ("e1000_probe", Some("e1000")));
        assert_eq!(
            symbols.next_symbol().unwrap().unwrap().name,
            "fixed_percpu_data"
        );
        assert_eq!(symbols.next_symbol().unwrap(), None);
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut symbols = Kallsyms::new(io::BufReader::new(io::repeat(b'f')));
        let error = symbols.next_symbol().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
