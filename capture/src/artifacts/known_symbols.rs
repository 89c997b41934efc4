// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is learnt from /proc/kallsyms while it passes.

use super::kallsyms::{Symbol, parse};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Symbols whose addresses are facts, or where facts lie in memory.
const WANTED: [&str; 8] = [
    "_text",
    "init_top_pgt",
    "linux_banner",
    "nr_cpu_ids",
    "page_offset_base",
    "vmalloc_base",
    "vmemmap_base",
    "__per_cpu_offset",
];

/// Where x86-64 kernels are linked to, `__START_KERNEL_map` and the default of
/// CONFIG_PHYSICAL_START.
const LINKED_TEXT: u64 = 0xffff_ffff_8100_0000;

/// What was learnt.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownSymbols {
    addresses: BTreeMap<&'static str, u64>,
    symbols: u64,
    with_address: u64,
}

impl KnownSymbols {
    pub(super) fn see(&mut self, symbol: &Symbol<'_>) {
        self.symbols = self.symbols.saturating_add(1);
        // Per-CPU symbols of some kernels truly begin at 0.
        if symbol.address == 0 {
            return;
        }
        self.with_address = self.with_address.saturating_add(1);
        if symbol.module.is_none() {
            if let Some(name) = WANTED.iter().find(|name| **name == symbol.name) {
                self.addresses.entry(name).or_insert(symbol.address);
            }
        }
    }

    pub(super) fn address(&self, name: &str) -> Option<u64> {
        self.addresses.get(name).copied()
    }

    /// Whether the kernel hid the addresses.
    pub(super) const fn are_hidden(&self) -> bool {
        self.symbols > 0 && self.with_address == 0
    }

    /// How far KASLR moved the kernel's text.
    pub(super) fn kaslr_offset(&self) -> Option<u64> {
        self.address("_text")?.checked_sub(LINKED_TEXT)
    }
}

/// /proc/kallsyms on its way, and what it tells.
pub(super) struct Watched<'a, R> {
    inner: R,
    landmarks: &'a mut KnownSymbols,
    /// What has no end yet.
    line: Vec<u8>,
}

/// Longer lines are none of the kernel's, and tell nothing.
const MAX_LINE_BYTES: usize = 4096;

impl<'a, R> Watched<'a, R> {
    pub(super) const fn new(inner: R, landmarks: &'a mut KnownSymbols) -> Self {
        Self {
            inner,
            landmarks,
            line: Vec::new(),
        }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buf)?;
        let passed = buf.get(..size).unwrap_or_default();
        for part in passed.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len().saturating_add(part.len()) <= MAX_LINE_BYTES {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                if let Some(symbol) = parse(&self.line) {
                    self.landmarks.see(&symbol);
                }
                self.line.clear();
            }
        }
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(address: u64, name: &'static str) -> Symbol<'static> {
        Symbol {
            address,
            kind: 'T',
            name,
            module: None,
        }
    }

    #[test]
    fn lines_are_seen_however_they_are_cut() {
        let text = format!(
            "{}\nffffffff81000000 T _text\nffffffffc0000000 t _text\t[odd]\n",
            "x".repeat(5000)
        );
        for step in [1, 7, 4096] {
            let mut landmarks = KnownSymbols::default();
            let mut watched = Watched::new(text.as_bytes(), &mut landmarks);
            let mut buf = vec![0; step];
            while watched.read(&mut buf).unwrap() > 0 {}
            assert_eq!(landmarks.symbols, 2);
            assert_eq!(landmarks.address("_text"), Some(LINKED_TEXT));
        }
    }

    #[test]
    fn the_text_tells_the_offset() {
        let mut landmarks = KnownSymbols::default();
        landmarks.see(&symbol(0, "fixed_percpu_data"));
        assert!(landmarks.are_hidden());
        assert_eq!(landmarks.kaslr_offset(), None);
        landmarks.see(&symbol(LINKED_TEXT + 0x1c00_0000, "_text"));
        landmarks.see(&symbol(1, "_text"));
        assert!(!landmarks.are_hidden());
        assert_eq!(landmarks.kaslr_offset(), Some(0x1c00_0000));
    }
}
