// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel lets modules use.

use crate::cfi;
use crate::error::FitError;
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
                address: None,
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
    lines(file, path, |line| {
        let mut fields = line.split_ascii_whitespace();
        let (Some(_), Some(_), Some(name), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            // Modules' symbols have their module after the name.
            return Ok(());
        };
        if cfi::is_symbol(name.as_bytes()) && found.cfi.is_none() {
            found.cfi = Some(name.to_owned());
        }
        if let Some(name) = name.strip_prefix("__ksymtab_") {
            found.lists_exports = true;
            if is_wanted(name) {
                found.exports.insert(name.to_owned(), Export::default());
            }
        }
        Ok(())
    })?;
    Ok(found)
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
