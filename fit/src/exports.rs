// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel lets modules use.

use crate::cfi;
use crate::error::FitError;
use crate::live_kernel::LivePlace;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The most bytes of a list of symbols.
const MAX_LIST: u64 = 256 << 20;

/// The longest line of a list.
const MAX_LINE: u64 = 4096;

/// An export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Export {
    /// The checksum of its type, where it is known.
    pub(crate) crc: Option<u32>,
    /// The namespace that a module must import; empty for none.
    pub(crate) namespace: String,
    /// Its address, where it is known.
    pub(crate) address: Option<u64>,
    /// Where the running kernel has it and its checksum, where that is known.
    pub(crate) live: Option<LivePlace>,
}

/// Exports by name.
pub(crate) type Exports = BTreeMap<String, Export>;

/// The wanted exports in a Module.symvers, whose lines have a checksum, a name, the
/// module, the kind of export and the namespace, with tabs between them.
///
/// A kernel without checksums has 0 in their place.
pub(crate) fn of_symvers(
    file: impl Read,
    path: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Exports, FitError> {
    let mut found = Exports::new();
    let mut is_empty = true;
    let damaged = || FitError::unusable(path.display().to_string(), "it is no Module.symvers");
    lines(file, path, |line| {
        let mut fields = line.split('\t');
        let crc = fields.next().unwrap_or_default();
        let name = fields.next().ok_or_else(damaged)?;
        let module = fields.next().ok_or_else(damaged)?;
        fields.next();
        let namespace = fields.next().unwrap_or_default();
        let crc = linpmem_phys::hex::parse_prefixed_u64(crc).ok_or_else(damaged)?;
        let crc = u32::try_from(crc).map_err(|_| damaged())?;
        is_empty = false;
        // What another module exports is there only while that is loaded.
        if module == "vmlinux" && is_wanted(name) {
            let export = Export {
                crc: (crc != 0).then_some(crc),
                namespace: namespace.to_owned(),
                ..Export::default()
            };
            found.insert(name.to_owned(), export);
        }
        Ok(())
    })?;
    match is_empty {
        true => Err(damaged()),
        false => Ok(found),
    }
}

/// What /proc/kallsyms says about exports.
#[derive(Debug, Default)]
pub(crate) struct Kallsyms {
    /// The exports, as the kernel's own table of them shows.
    pub(crate) exports: Exports,
    /// Whether exports are listed at all.
    pub(crate) lists_exports: bool,
    /// A symbol that only kernels with kCFI have.
    pub(crate) cfi: Option<String>,
}

/// The wanted exports in kallsyms: each has a symbol `__ksymtab_NAME`, if the kernel lists
/// its data.
pub(crate) fn of_kallsyms(
    file: impl Read,
    path: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Kallsyms, FitError> {
    let mut found = Kallsyms::default();
    let mut tables = Tables::default();
    let mut entries = BTreeMap::new();
    lines(file, path, |line| {
        let mut fields = line.split_ascii_whitespace();
        let (Some(address), Some(_), Some(name), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            // Modules' symbols have their module after the name.
            return Ok(());
        };
        if cfi::is_symbol(name.as_bytes()) && found.cfi.is_none() {
            found.cfi = Some(name.to_owned());
        }
        let address = linpmem_phys::hex::parse_u64(address).unwrap_or_default();
        tables.note(name, address);
        if let Some(name) = name.strip_prefix("__ksymtab_") {
            found.lists_exports = true;
            if is_wanted(name) {
                entries.insert(name.to_owned(), address);
            }
        }
        Ok(())
    })?;
    let exports = entries.into_iter().map(|(name, entry)| {
        let export = Export {
            live: tables.place(entry),
            ..Export::default()
        };
        (name, export)
    });
    found.exports = exports.collect();
    Ok(found)
}

/// Bytes of an entry in a table of exports, and of a checksum.
const ENTRY: u64 = 12;
const CHECKSUM: u64 = 4;

/// Where a running kernel has its tables of exports and those of their checksums, which
/// have the same order. 0 is unknown, or hidden.
#[derive(Debug, Default)]
struct Tables([Table; 2]);

#[derive(Debug, Default)]
struct Table {
    start: u64,
    stop: u64,
    checksums: u64,
    checksums_stop: u64,
}

impl Tables {
    /// Notes where a table begins or ends.
    fn note(&mut self, name: &str, address: u64) {
        let Self([all, gpl]) = self;
        let field = match name {
            "__start___ksymtab" => &mut all.start,
            "__stop___ksymtab" => &mut all.stop,
            "__start___kcrctab" => &mut all.checksums,
            "__stop___kcrctab" => &mut all.checksums_stop,
            "__start___ksymtab_gpl" => &mut gpl.start,
            "__stop___ksymtab_gpl" => &mut gpl.stop,
            "__start___kcrctab_gpl" => &mut gpl.checksums,
            "__stop___kcrctab_gpl" => &mut gpl.checksums_stop,
            _ => return,
        };
        *field = address;
    }

    /// Where the export is whose entry is at `entry`.
    fn place(&self, entry: u64) -> Option<LivePlace> {
        let Self(tables) = self;
        tables.iter().find_map(|table| table.place(entry))
    }
}

impl Table {
    fn place(&self, entry: u64) -> Option<LivePlace> {
        let within = entry.checked_sub(self.start).filter(|_| self.start != 0)?;
        let (size, checksums) = (
            self.stop.checked_sub(self.start)?,
            self.checksums_stop.checked_sub(self.checksums)?,
        );
        // One checksum an entry, or they are something else.
        let is_sound = size % ENTRY == 0 && size / ENTRY == checksums / CHECKSUM;
        if within >= size || within % ENTRY != 0 || !is_sound {
            return None;
        }
        let checksum = self.checksums.checked_add(within / ENTRY * CHECKSUM)?;
        Some(LivePlace { entry, checksum })
    }
}

/// Calls `each` with every line.
fn lines(
    file: impl Read,
    path: &Path,
    mut each: impl FnMut(&str) -> Result<(), FitError>,
) -> Result<(), FitError> {
    let unreadable = |source| FitError::File {
        path: path.to_path_buf(),
        source,
    };
    let damaged = |why: &str| FitError::unusable(path.display().to_string(), why);
    let mut reader = BufReader::new(file.take(MAX_LIST));
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut part = reader.by_ref().take(MAX_LINE);
        if part.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return Ok(());
        }
        if line.pop() != Some(b'\n') {
            return Err(damaged("it is truncated, or has a line of more than 4 KiB"));
        }
        each(std::str::from_utf8(&line).map_err(|_| damaged("it is no text"))?)?;
    }
}
