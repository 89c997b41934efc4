// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's symbols: /proc/kallsyms, or System.map.
//!
//! Lines of `ADDRESS LETTER NAME`, and in kallsyms `[MODULE]` behind those of
//! modules. The letter is that of nm: upper case for names that are known outside
//! of their file.

use std::collections::BTreeMap;
use thiserror::Error;

/// Where the kernel's image begins before it is moved, and what lies below is not
/// moved: numbers, and places of per-CPU variables within their area.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// The longest name, `KSYM_NAME_LEN`.
const MAX_NAME: usize = 512;

/// Without these Volatility finds no kernel.
const NEEDED: &[&str] = &["init_task", "init_files", "init_mm", "linux_banner"];

/// Why a list of symbols is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SymbolsError {
    /// A line is not `ADDRESS LETTER NAME`.
    #[error("line {number} of the kernel's symbols is none: `{text}`")]
    Line {
        /// Counted from 1.
        number: usize,
        /// Its beginning.
        text: String,
    },
    /// The kernel hid the addresses.
    #[error(
        "all of the kernel's symbols are at address 0: /proc/kallsyms was read without \
         CAP_SYSLOG, or with kernel.kptr_restrict=2"
    )]
    Hidden,
    /// The list lacks what everything begins with.
    #[error(
        "the kernel's symbols lack `{name}`: a kernel without CONFIG_KALLSYMS_ALL lists only \
         functions, and Debian's /boot/System.map is empty; take System.map from the \
         kernel's debug package"
    )]
    Lacks {
        /// What is missing.
        name: &'static str,
    },
    /// The offset is not that of this list.
    #[error(
        "the KASLR offset {offset:#x} is not that of these symbols: `{name}` is at {address:#x}"
    )]
    Offset {
        /// What was said.
        offset: u64,
        /// Whose address it is.
        name: &'static str,
        /// Where the list has it.
        address: u64,
    },
}

/// Where the kernel has what, before KASLR moves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSymbols<'a> {
    symbols: BTreeMap<&'a str, Symbol>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Symbol {
    address: u64,
    letter: u8,
}

impl<'a> KernelSymbols<'a> {
    /// `text` is kallsyms with a `kaslr_offset`, or System.map with 0. Symbols of
    /// modules are left out: they have another place at each boot.
    ///
    /// # Errors
    /// When the text is no such list, or lacks what Volatility cannot do without.
    pub fn parse(text: &'a [u8], kaslr_offset: u64) -> Result<Self, SymbolsError> {
        let mut symbols = BTreeMap::new();
        let mut any_address = false;
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            if line.is_empty() {
                continue;
            }
            let Some((address, letter, name)) = fields(line) else {
                let beginning = line.get(..line.len().min(80)).unwrap_or_default();
                return Err(SymbolsError::Line {
                    number,
                    text: String::from_utf8_lossy(beginning).into_owned(),
                });
            };
            let Some(name) = name else { continue };
            any_address |= address != 0;
            let moved = address.wrapping_sub(kaslr_offset);
            let is_moved = address >= KERNEL_MAP && moved >= KERNEL_MAP && moved <= address;
            let address = if is_moved { moved } else { address };
            let symbol = Symbol { address, letter };
            // Names that are known outside of their file are unique; of the others the
            // first has it.
            let known: &mut Symbol = symbols.entry(name).or_insert(symbol);
            if symbol.rank() < known.rank() {
                *known = symbol;
            }
        }
        let found = Self { symbols };
        found.check(any_address, kaslr_offset)?;
        Ok(found)
    }

    fn check(&self, any_address: bool, offset: u64) -> Result<(), SymbolsError> {
        if !self.symbols.is_empty() && !any_address {
            return Err(SymbolsError::Hidden);
        }
        for &name in NEEDED {
            let address = self.address(name).ok_or(SymbolsError::Lacks { name })?;
            if address < KERNEL_MAP || (offset != 0 && address.checked_add(offset).is_none()) {
                return Err(SymbolsError::Offset {
                    offset,
                    name,
                    address,
                });
            }
        }
        Ok(())
    }

    /// Where `name` is before KASLR moves it.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).map(|symbol| symbol.address)
    }

    /// How many bytes lie between `name` and the next symbol, padding included; at
    /// most a page.
    pub(crate) fn room(&self, name: &str) -> Option<u32> {
        let from = self.address(name)?;
        let others = self.symbols.values().map(|symbol| symbol.address);
        let next = others.filter(|address| *address > from).min()?;
        u32::try_from(next.checked_sub(from)?.min(4096)).ok()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Names and addresses, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, u64)> + '_ {
        self.symbols
            .iter()
            .map(|(name, symbol)| (*name, symbol.address))
    }
}

impl Symbol {
    fn rank(self) -> u8 {
        match self.letter {
            b'W' | b'V' | b'w' | b'v' => 1,
            letter if letter.is_ascii_uppercase() => 0,
            _ => 2,
        }
    }
}

/// Address, letter and name; no name for a module's symbol.
fn fields(line: &[u8]) -> Option<(u64, u8, Option<&str>)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.splitn(3, ' ');
    let (address, letter, rest) = (words.next()?, words.next()?, words.next()?);
    if !(8..=16).contains(&address.len()) || letter.len() != 1 || rest.len() > MAX_NAME {
        return None;
    }
    let is_hex = address.bytes().all(|digit| digit.is_ascii_hexdigit());
    let address = u64::from_str_radix(address, 16).ok().filter(|_| is_hex)?;
    let letter = letter.bytes().next()?;
    let name = match rest.split_once('\t') {
        Some(_) => None,
        None => Some(rest.trim_end()).filter(|name| !name.is_empty()),
    };
    Some((address, letter, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
0000000000000000 A __per_cpu_start
0000000000035000 D pcpu_hot
ffffffffa1000000 T _text
ffffffffa1234560 t helper
ffffffffa1234570 t helper
ffffffffa1334570 W weak
ffffffffa2000000 D linux_banner
ffffffffa3000000 D init_task
ffffffffa3100000 d init_files
ffffffffa3100000 D init_files
ffffffffa3200000 D init_mm
ffffffffc0400000 t own\t[some_module]
";
    const OFFSET: u64 = 0x2000_0000;

    #[test]
    fn addresses_are_those_before_the_move() {
        let symbols = KernelSymbols::parse(LIST.as_bytes(), OFFSET).unwrap();
        assert_eq!(symbols.address("_text"), Some(0xffff_ffff_8100_0000));
        assert_eq!(symbols.address("init_task"), Some(0xffff_ffff_8300_0000));
        // Per-CPU variables do not move.
        assert_eq!(symbols.address("pcpu_hot"), Some(0x35000));
        assert_eq!(symbols.address("helper"), Some(0xffff_ffff_8123_4560));
        assert_eq!(symbols.address("own"), None);
        assert_eq!(symbols.len(), 9);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let zero = LIST.lines().map(|line| {
            let rest = line.get(16..).unwrap();
            format!("0000000000000000{rest}\n")
        });
        let zero: String = zero.collect();
        let parse = |text: &str, offset| KernelSymbols::parse(text.as_bytes(), offset).unwrap_err();
        assert_eq!(parse(&zero, 0), SymbolsError::Hidden);
        let functions = LIST.replace("D init_task", "D other");
        assert_eq!(
            parse(&functions, OFFSET),
            SymbolsError::Lacks { name: "init_task" }
        );
        let fake = "ffffffffffffffff B The real System.map is in the package\n";
        assert!(matches!(parse(fake, 0), SymbolsError::Lacks { .. }));
        assert!(matches!(
            parse("not a symbol\n", 0),
            SymbolsError::Line { number: 1, .. }
        ));
        assert!(matches!(parse("", 0), SymbolsError::Lacks { .. }));
    }
}
