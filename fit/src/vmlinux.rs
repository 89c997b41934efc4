// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an unpacked kernel says: its exports, types, version and banner.

use crate::cfi;
use crate::elf::Elf;
use crate::exports::{Export, Exports};
use linpmem_phys::num::usize_as_u64;
use std::collections::BTreeMap;

/// The bytes of an entry of `__ksymtab`: where the value, the name and the name of the
/// namespace are, each relative to itself.
const ENTRY: usize = 12;

/// The longest name of a symbol.
const MAX_NAME: usize = 512;

/// The section with the places that may fault.
const FAULTS: &str = "__ex_table";

/// The bytes of an entry of it: the place that may fault, where to go on, and
/// the type of the entry.
const FAULT_ENTRY: usize = 12;

/// An unpacked kernel.
pub(crate) struct Vmlinux<'a> {
    elf: Elf<'a>,
    bytes: &'a [u8],
}

impl<'a> Vmlinux<'a> {
    /// Finds the sections.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let elf = Elf::parse(bytes)?;
        Ok(Self { elf, bytes })
    }

    /// Its types.
    pub(crate) fn btf(&self) -> Option<&'a [u8]> {
        self.elf.section(".BTF").filter(|btf| !btf.is_empty())
    }

    /// The release in its banner, `Linux version RELEASE (…`.
    pub(crate) fn release(&self) -> Option<String> {
        let prefix = banner_start();
        let found = find_all(self.bytes, prefix.as_bytes()).find_map(|at| {
            let rest = self.bytes.get(at + prefix.len()..)?;
            let len = rest.iter().take(65).position(|byte| *byte == b' ')?;
            let (release, after) = rest.split_at_checked(len)?;
            let is_release = after.starts_with(b" (") && release.first()?.is_ascii_digit();
            is_release.then_some(release)
        })?;
        std::str::from_utf8(found).ok().map(str::to_owned)
    }

    /// Whether its banner names gcc, which makes no kCFI.
    pub(crate) fn is_of_gcc(&self) -> bool {
        let Some(release) = self.release() else {
            return false;
        };
        let banner = format!("{}{release} (", banner_start());
        find_all(self.bytes, banner.as_bytes()).any(|at| {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let line = rest.iter().take(512).position(|byte| *byte == b'\n');
            let line = line.and_then(|len| rest.get(..len)).unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            line.contains("gcc") && !line.contains("clang")
        })
    }

    /// The vermagic that it wants modules to have.
    pub(crate) fn vermagic(&self, release: &str) -> Option<String> {
        let prefix = format!("{release} ");
        let found = find_all(self.bytes, prefix.as_bytes()).find_map(|at| {
            let rest = self.bytes.get(at..)?;
            let len = rest.iter().take(256).position(|byte| *byte == 0)?;
            let text = std::str::from_utf8(rest.get(..len)?).ok()?;
            let words: Vec<&str> = text.split(' ').collect();
            (words.contains(&"mod_unload") || words.contains(&"SMP")).then_some(text)
        })?;
        Some(found.to_owned())
    }

    /// Those of its exports that are `wanted`.
    pub(crate) fn exports(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Exports, String> {
        let mut found = BTreeMap::new();
        let mut tables = 0;
        for (entries, checksums) in [
            ("__ksymtab", "__kcrctab"),
            ("__ksymtab_gpl", "__kcrctab_gpl"),
        ] {
            let Some(bytes) = self.elf.section(entries) else {
                continue;
            };
            tables += 1;
            let address = self.elf.address(entries).unwrap_or_default();
            if address.checked_add(usize_as_u64(bytes.len())).is_none() {
                return Err(format!("its {entries} ends outside the address space"));
            }
            let checksums = self.elf.section(checksums).unwrap_or_default();
            if bytes.len() % ENTRY != 0 {
                return Err(format!(
                    "its {entries} has {} bytes, which is no multiple of {ENTRY}",
                    bytes.len()
                ));
            }
            let count = bytes.len() / ENTRY;
            if !checksums.is_empty() && checksums.len() != count * 4 {
                return Err(format!(
                    "it has {count} exports, but {} bytes of checksums",
                    checksums.len()
                ));
            }
            let mut checksums = checksums.chunks_exact(4);
            for (entry, at) in placed(bytes, ENTRY, address) {
                let crc = checksums.next().and_then(<[u8]>::first_chunk);
                let name = self
                    .text(entry, at, 4)
                    .ok_or("it has an export without a name")?;
                if is_wanted(name) {
                    let export = Export {
                        crc: crc.map(|crc| u32::from_le_bytes(*crc)),
                        namespace: self.text(entry, at, 8).unwrap_or_default().to_owned(),
                        address: relative(entry, at, 0),
                        live: None,
                    };
                    found.insert(name.to_owned(), export);
                }
            }
        }
        match tables {
            0 => Err("it has no section __ksymtab".to_owned()),
            _ => Ok(found),
        }
    }

    /// The text that the word at `place` of an entry refers to; none if it is 0.
    fn text(&self, entry: &[u8], address: u64, place: usize) -> Option<&'a str> {
        let bytes = self.elf.at(relative(entry, address, place)?)?;
        let len = bytes.iter().take(MAX_NAME).position(|byte| *byte == 0)?;
        std::str::from_utf8(bytes.get(..len)?).ok()
    }

    /// The places that may fault and their types.
    pub(crate) fn faults(&self) -> Vec<(u64, u32)> {
        let table = self.elf.section(FAULTS).zip(self.elf.address(FAULTS));
        let Some((bytes, start)) = table else {
            return Vec::new();
        };
        placed(bytes, FAULT_ENTRY, start)
            .filter_map(|(entry, at)| Some((relative(entry, at, 0)?, word(entry, 8)? & 0xff)))
            .collect()
    }

    /// A symbol that only kernels with kCFI have.
    pub(crate) fn cfi_symbol(&self) -> Option<String> {
        let mut names = self.elf.symbol_names();
        let found = names.find(|name| cfi::is_symbol(name))?;
        Some(String::from_utf8_lossy(found).into_owned())
    }
}

/// The entries of a table, each with its address.
fn placed(bytes: &[u8], len: usize, start: u64) -> impl Iterator<Item = (&[u8], u64)> {
    let next = move |at: &u64| at.checked_add(usize_as_u64(len));
    bytes
        .chunks_exact(len)
        .zip(std::iter::successors(Some(start), next))
}

fn word(entry: &[u8], place: usize) -> Option<u32> {
    let bytes = entry.get(place..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// The address that the word at `place` of an entry refers to; none if it is 0.
fn relative(entry: &[u8], address: u64, place: usize) -> Option<u64> {
    let distance = i32::from_le_bytes(word(entry, place)?.to_le_bytes());
    let here = address.checked_add(usize_as_u64(place))?;
    (distance != 0).then(|| here.checked_add_signed(i64::from(distance)))?
}

/// Where `needle` is in `haystack`.
fn find_all<'a>(haystack: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let finder = memchr::memmem::Finder::new(needle).into_owned();
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + finder.find(haystack.get(from..)?)?;
        from = at + 1;
        Some(at)
    })
}
/// How a kernel's banner begins. In two pieces: kdumpid takes the first such text in memory
/// for the kernel's, and a program that fits the module is in memory while it acquires.
fn banner_start() -> String {
    const WORDS: [&str; 2] = ["Linux", "version"];
    let mut start = WORDS.join(" ");
    start.push(' ');
    start
}
