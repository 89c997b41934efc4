// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump symbols`: a symbol file, and how to use it.

use linpmem_capture::artifacts::FIVE_LEVELS;
use linpmem_capture::sink::folder_of;
use linpmem_cli::{Document, printable};
use linpmem_phys::PhysLen;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// A symbol file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbolsDocument {
    /// Where it is.
    pub symbol_file: String,
    /// Its size.
    pub size_bytes: u64,
    /// Types in it.
    pub types: usize,
    /// Symbols in it.
    pub symbols: usize,
    /// The command that uses it, for a shell.
    pub volatility_command: String,
    /// What Volatility 3 cannot do with this kernel.
    pub note: Option<String>,
}

impl SymbolsDocument {
    /// The document about the file at `path`, for `image` if it is known which one.
    #[must_use]
    pub fn new(
        path: &Path,
        size_bytes: u64,
        [types, symbols]: [usize; 2],
        image: Option<&Path>,
        paging_levels: Option<u32>,
    ) -> Self {
        let folder = quoted(folder_of(path));
        let image = image.map_or("IMAGE".to_owned(), quoted);
        Self {
            symbol_file: path.to_string_lossy().into_owned(),
            size_bytes,
            types,
            symbols,
            volatility_command: format!("vol -s {folder} -f {image} linux.pslist"),
            note: (paging_levels == Some(5)).then(|| FIVE_LEVELS.to_owned()),
        }
    }
}

impl Document for SymbolsDocument {
    const FORMAT: &'static str = "linpmem-dump symbols";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{}: {} types, {} symbols, {}\n{}",
            printable(&self.symbol_file),
            self.types,
            self.symbols,
            PhysLen::new(self.size_bytes),
            printable(&self.volatility_command)
        )?;
        match &self.note {
            Some(note) => writeln!(out, "  note: {note}"),
            None => Ok(()),
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%=".contains(letter);
    match text.chars().all(is_plain) && !text.is_empty() {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        let of = |path: &str, image: Option<&str>, levels| {
            SymbolsDocument::new(Path::new(path), 1, [2, 3], image.map(Path::new), levels)
        };
        let plain = of("a b/x.isf.json.xz", Some("it's"), Some(4));
        assert_eq!(
            plain.volatility_command,
            r"vol -s 'a b' -f 'it'\''s' linux.pslist"
        );
        assert_eq!(plain.note, None);
        let deep = of("x.isf.json.xz", None, Some(5));
        assert_eq!(deep.volatility_command, "vol -s . -f IMAGE linux.pslist");
        assert!(deep.note.unwrap().contains("5-level"));
    }
}
