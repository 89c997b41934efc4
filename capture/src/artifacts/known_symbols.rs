// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel symbols that are facts themselves, or the addresses of facts in memory.

use super::machine::Machine;
use linpmem_kinfo::kallsyms::{Scanner, Symbol, Visibility};
use linpmem_kinfo::layout::{KernelImage, X86_64};
use linpmem_manifest::Address;
use linpmem_phys::{PhysAddr, PhysLen, ReadPhys, Unreadables};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// The symbols whose addresses are kept.
const KEPT: [&str; 8] = [
    "_text",
    "init_top_pgt",
    "linux_banner",
    "nr_cpu_ids",
    "page_offset_base",
    "vmalloc_base",
    "vmemmap_base",
    "__per_cpu_offset",
];

/// Variables of 64 bits: where KASLR put the direct map, vmalloc's area and the page
/// structures.
const BASES: [&str; 3] = ["page_offset_base", "vmalloc_base", "vmemmap_base"];

/// The kernel's own limit, CONFIG_NR_CPUS: a larger number is not one of processors.
const MAX_CPUS: u32 = 8192;

/// What /proc/kallsyms contains of them.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownSymbols {
    addresses: BTreeMap<&'static str, u64>,
    visibility: Visibility,
}

impl KnownSymbols {
    pub(super) fn see(&mut self, symbol: &Symbol<'_>) {
        self.visibility.see(symbol.address);
        // Per-CPU symbols of some kernels do begin at 0.
        if symbol.address == 0 || symbol.module.is_some() {
            return;
        }
        if let Some(name) = KEPT.iter().find(|name| **name == symbol.name) {
            self.addresses.entry(name).or_insert(symbol.address);
        }
    }

    fn address(&self, name: &str) -> Option<u64> {
        self.addresses.get(name).copied()
    }

    /// Whether the kernel hid the addresses.
    pub(super) const fn are_hidden(&self) -> bool {
        self.visibility.are_hidden()
    }

    /// How far KASLR moved the kernel's text.
    pub(super) fn kaslr_offset(&self) -> Option<u64> {
        X86_64.kaslr_offset(self.address("_text")?)
    }

    /// Adds to `machine` the values that these variables have in `memory`, except for
    /// those that cannot be read.
    pub(super) fn read_variables(&self, machine: &mut Machine, memory: &dyn ReadPhys) {
        let Some(image) = machine.phys_base.map(KernelImage::x86_64) else {
            return;
        };
        let place = |name: &str| image.phys(self.address(name)?);
        for name in BASES {
            if let Some(value) = place(name).and_then(|at| read_u64(memory, at)) {
                machine.variables.insert(name.to_owned(), Address(value));
            }
        }
        let cpus = place("nr_cpu_ids").and_then(|at| read_u32(memory, at));
        let Some((cpus, table)) = cpus
            .filter(|&cpus| cpus <= MAX_CPUS)
            .zip(place("__per_cpu_offset"))
        else {
            return;
        };
        for index in 0..u64::from(cpus) {
            let offset = table
                .checked_add(PhysLen::new(index * 8))
                .and_then(|at| read_u64(memory, at));
            match offset {
                Some(offset) => machine.cpus.per_cpu_offsets.push(Address(offset)),
                None => break,
            }
        }
    }
}

fn read_u64(memory: &dyn ReadPhys, at: PhysAddr) -> Option<u64> {
    Some(u64::from_le_bytes(read_bytes(memory, at)?))
}

fn read_u32(memory: &dyn ReadPhys, at: PhysAddr) -> Option<u32> {
    Some(u32::from_le_bytes(read_bytes(memory, at)?))
}

fn read_bytes<const N: usize>(memory: &dyn ReadPhys, at: PhysAddr) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut unreadable = Unreadables::new();
    memory.read_phys(at, &mut bytes, &mut unreadable).ok()?;
    unreadable.is_empty().then_some(bytes)
}

/// /proc/kallsyms, whose known symbols are noted while it is read.
pub(super) struct SymbolTap<'a, R> {
    inner: R,
    symbols: &'a mut KnownSymbols,
    scanner: Scanner,
}

impl<'a, R> SymbolTap<'a, R> {
    pub(super) fn new(inner: R, symbols: &'a mut KnownSymbols) -> Self {
        Self {
            inner,
            symbols,
            scanner: Scanner::default(),
        }
    }
}

impl<R: Read> Read for SymbolTap<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buf)?;
        let (read, _) = buf.split_at(size);
        let symbols = &mut *self.symbols;
        self.scanner.feed(read, |symbol| symbols.see(symbol));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{MemoryImage, MemoryMap, PhysRange, Region, RegionKind};

    fn tapped(text: &str, step: usize) -> KnownSymbols {
        let mut symbols = KnownSymbols::default();
        let mut tap = SymbolTap::new(text.as_bytes(), &mut symbols);
        let mut buf = vec![0; step];
        while tap.read(&mut buf).unwrap() > 0 {}
        symbols
    }

    #[test]
    fn symbols_are_found_however_the_text_is_cut() {
        let text = format!(
            "{}\nffffffffc0000000 t _text\t[odd]\nffffffff81000000 T _text\n",
            "x".repeat(5000)
        );
        for step in [1, 7, 4096] {
            let symbols = tapped(&text, step);
            assert_eq!(symbols.addresses.len(), 1);
            assert_eq!(symbols.address("_text"), X86_64.linked_text);
        }
    }

    #[test]
    fn the_address_of_the_text_gives_the_kaslr_offset() {
        let hidden = "0000000000000000 A fixed_percpu_data\n";
        let symbols = tapped(hidden, 64);
        assert!(symbols.are_hidden());
        assert_eq!(symbols.kaslr_offset(), None);
        let symbols = tapped(
            &format!("{hidden}ffffffff9d000000 T _text\n00000001 T _text\n"),
            64,
        );
        assert!(!symbols.are_hidden());
        assert_eq!(symbols.kaslr_offset(), Some(0x1c00_0000));
    }

    #[test]
    fn variables_are_read_where_their_symbols_are() {
        let range = PhysRange::new(PhysAddr::ZERO, PhysAddr::new(0x1000)).unwrap();
        let kind = RegionKind::SystemRam;
        let mut bytes = vec![0; 0x1000];
        bytes[0x100..0x108].copy_from_slice(&0xffff_8880_0000_0000_u64.to_le_bytes());
        bytes[0x200..0x204].copy_from_slice(&2_u32.to_le_bytes());
        bytes[0xff0..0xff8].copy_from_slice(&5_u64.to_le_bytes());
        bytes[0xff8..].copy_from_slice(&6_u64.to_le_bytes());
        let variables = |bytes: Vec<u8>| {
            let map = MemoryMap::new([Region { range, kind }]).unwrap();
            let symbols = tapped(
                "ffffffff80000100 D page_offset_base\nffffffff80000200 D nr_cpu_ids\n\
                 ffffffff80000ff0 D __per_cpu_offset\nffffffffc0000000 D vmalloc_base\n",
                64,
            );
            let mut machine = Machine {
                phys_base: Some(0),
                ..Machine::for_tests()
            };
            symbols.read_variables(&mut machine, &MemoryImage::new(map, bytes));
            (machine.variables, machine.cpus.per_cpu_offsets)
        };
        let (found, per_cpu) = variables(bytes.clone());
        let base = Address(0xffff_8880_0000_0000);
        assert_eq!(found, [("page_offset_base".to_owned(), base)].into());
        assert_eq!(per_cpu, [Address(5), Address(6)]);
        // One more processor, whose entry is past the end of memory.
        bytes[0x200] = 3;
        assert_eq!(variables(bytes.clone()).1, [Address(5), Address(6)]);
        // More than any kernel has.
        bytes[0x203] = 1;
        assert_eq!(variables(bytes).1, []);
    }
}
