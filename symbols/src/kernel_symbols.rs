// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's symbols without KASLR's offset, from /proc/kallsyms or System.map.

use linpmem_kinfo::kallsyms::{LineError, Lines, SymbolKind, Visibility};
use linpmem_kinfo::layout::Architecture;
use std::collections::BTreeMap;
use thiserror::Error;

/// Without these Volatility finds no kernel.
const NEEDED: &[&str] = &["init_task", "init_files", "init_mm", "linux_banner"];

/// Why a list of symbols cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelSymbolsError {
    /// A line is not `ADDRESS LETTER NAME`.
    #[error("the kernel's symbols cannot be read: {0}")]
    Line(#[from] LineError),
    /// The kernel hid the addresses.
    #[error(
        "all of the kernel's symbols are at address 0: /proc/kallsyms was read without \
         CAP_SYSLOG, or with kernel.kptr_restrict=2"
    )]
    Hidden,
    /// The list lacks a symbol that Volatility cannot do without.
    #[error(
        "the kernel's symbols lack `{name}`: a kernel without CONFIG_KALLSYMS_ALL lists only \
         functions, and Debian's /boot/System.map is empty; take System.map from the \
         kernel's debug package"
    )]
    Lacks {
        /// What is missing.
        name: &'static str,
    },
    /// The offset and the list are from different boots.
    #[error(
        "the KASLR offset {offset:#x} does not belong to these symbols: `{name}` is at \
         {address:#x}"
    )]
    Offset {
        /// The offset as given.
        offset: u64,
        /// The symbol that shows it.
        name: &'static str,
        /// Its address in the list.
        address: u64,
    },
}

/// The addresses of the kernel's symbols before KASLR moves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSymbols<'a> {
    symbols: BTreeMap<&'a str, Symbol>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Symbol {
    address: u64,
    kind: SymbolKind,
}

impl<'a> KernelSymbols<'a> {
    /// `text` is kallsyms with a `kaslr_offset`, or System.map with 0. Symbols of
    /// modules are left out: they have another address at each boot. `architecture` is the
    /// kernel's.
    ///
    /// # Errors
    /// When the text is not such a list, or lacks what Volatility cannot do without.
    pub fn parse(
        text: &'a [u8],
        kaslr_offset: u64,
        architecture: Architecture,
    ) -> Result<Self, KernelSymbolsError> {
        let lowest = lowest(architecture);
        let mut symbols = BTreeMap::new();
        let mut visibility = Visibility::default();
        for found in Lines::new(text) {
            let found = found?;
            if found.module.is_some() {
                continue;
            }
            visibility.see(found.address);
            let symbol = Symbol {
                address: unmoved(found.address, kaslr_offset, lowest),
                kind: found.kind,
            };
            // Global names are unique; of the others the first counts.
            let known: &mut Symbol = symbols.entry(found.name).or_insert(symbol);
            if symbol.rank() < known.rank() {
                *known = symbol;
            }
        }
        let found = Self { symbols };
        found.check(visibility, kaslr_offset, lowest)?;
        Ok(found)
    }

    fn check(
        &self,
        visibility: Visibility,
        offset: u64,
        lowest: u64,
    ) -> Result<(), KernelSymbolsError> {
        if visibility.are_hidden() {
            return Err(KernelSymbolsError::Hidden);
        }
        for &name in NEEDED {
            let address = self
                .address(name)
                .ok_or(KernelSymbolsError::Lacks { name })?;
            if address < lowest || (offset != 0 && address.checked_add(offset).is_none()) {
                return Err(KernelSymbolsError::Offset {
                    offset,
                    name,
                    address,
                });
            }
        }
        Ok(())
    }

    /// The address of `name` before KASLR moves it.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).map(|symbol| symbol.address)
    }

    /// The number of bytes from `name` to the next symbol, padding included; a page at
    /// most.
    pub(crate) fn room(&self, name: &str) -> Option<u32> {
        let from = self.address(name)?;
        let others = self.symbols.values().map(|symbol| symbol.address);
        let next = others.filter(|address| *address > from).min()?;
        u32::try_from(next.checked_sub(from)?.min(4096)).ok()
    }

    /// The number of symbols.
    #[must_use]
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there is no symbol.
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
    /// If two symbols have the same name, the one with the lower rank counts.
    fn rank(self) -> u8 {
        match self.kind {
            kind if kind.is_global() => 0,
            kind if kind.is_weak() => 1,
            _ => 2,
        }
    }
}

/// The lowest address that the kernel's image can have. On arm64, it can be anywhere in the
/// kernel's half.
const fn lowest(architecture: Architecture) -> u64 {
    let layout = architecture.layout();
    match layout.image {
        Some(image) => image.start,
        None => layout.kernel_half,
    }
}

/// The address before KASLR moves it. Values below the kernel's image do not move: they
/// are absolute, or offsets of per-CPU variables within their area.
fn unmoved(address: u64, kaslr_offset: u64, lowest: u64) -> u64 {
    match address.checked_sub(kaslr_offset) {
        Some(unmoved) if unmoved >= lowest => unmoved,
        _ => address,
    }
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
        let symbols = KernelSymbols::parse(LIST.as_bytes(), OFFSET, Architecture::X86_64).unwrap();
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
        let x86_64 = Architecture::X86_64;
        let parse =
            |text: &str, offset| KernelSymbols::parse(text.as_bytes(), offset, x86_64).unwrap_err();
        assert_eq!(parse(&zero, 0), KernelSymbolsError::Hidden);
        let functions = LIST.replace("D init_task", "D other");
        assert_eq!(
            parse(&functions, OFFSET),
            KernelSymbolsError::Lacks { name: "init_task" }
        );
        let fake = "ffffffffffffffff B The real System.map is in the package\n";
        assert!(matches!(parse(fake, 0), KernelSymbolsError::Lacks { .. }));
        assert!(matches!(
            parse("not a symbol\n", 0),
            KernelSymbolsError::Line(LineError { number: 1, .. })
        ));
        assert!(matches!(parse("", 0), KernelSymbolsError::Lacks { .. }));
    }

    #[test]
    fn symbols_of_arm64_are_moved_back_wherever_the_image_is() {
        let list = "0000000000000000 A _kernel_flags_le_hi32\n\
            ffffb1d06f800000 T _text\nffffb1d071a00000 d __per_cpu_start\n\
            ffffb1d071000000 D linux_banner\nffffb1d072000000 D init_task\n\
            ffffb1d072100000 D init_files\nffffb1d072200000 D init_mm\n";
        let parse =
            |offset, architecture| KernelSymbols::parse(list.as_bytes(), offset, architecture);
        let offset = 0x31cf_ef80_0000;
        let symbols = parse(offset, Architecture::Aarch64).unwrap();
        assert_eq!(symbols.address("_text"), Some(0xffff_8000_8000_0000));
        assert_eq!(
            symbols.address("__per_cpu_start"),
            Some(0xffff_8000_8220_0000)
        );
        assert_eq!(symbols.address("_kernel_flags_le_hi32"), Some(0));
        // Not those of x86-64, whose image has its place.
        assert!(parse(offset, Architecture::X86_64).is_err());
        // Of another boot.
        assert!(parse(0xfff0_0000_0000_0000, Architecture::Aarch64).is_err());
    }
}
