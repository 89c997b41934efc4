// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump symbols`: a symbol file, and how to use it.

use super::volatility::{self, VolatilityImage};
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
    /// What Volatility 3 cannot do with this kernel or image.
    pub note: Option<String>,
}

impl SymbolsDocument {
    /// The document about the file at `path`, for `image` if it is known which one.
    #[must_use]
    pub fn new(
        path: &Path,
        size_bytes: u64,
        [types, symbols]: [usize; 2],
        image: Option<&VolatilityImage>,
        unsupported: Option<&str>,
    ) -> Self {
        let is_other = image.is_some_and(|image| !image.is_readable);
        let notes = [
            is_other.then_some(
                "Volatility 3 does not open this image as it is: the command makes an ELF core of \
                 it first",
            ),
            unsupported,
        ];
        let notes: Vec<&str> = notes.into_iter().flatten().collect();
        Self {
            symbol_file: path.to_string_lossy().into_owned(),
            size_bytes,
            types,
            symbols,
            volatility_command: volatility::command(path, image),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_capture::artifacts::no_volatility;

    #[test]
    fn the_command_can_be_pasted() {
        let of = |path: &str, image: Option<VolatilityImage>, unsupported| {
            SymbolsDocument::new(Path::new(path), 1, [2, 3], image.as_ref(), unsupported)
        };
        let image = |path: &str, is_readable| VolatilityImage {
            path: path.into(),
            is_readable,
            options: vec!["--volume".into(), "a b".into()],
        };
        let plain = of("a b/x.isf.json.xz", Some(image("it's", true)), None);
        assert_eq!(
            plain.volatility_command,
            r"vol -s 'a b' -f 'it'\''s' linux.pslist"
        );
        assert_eq!(plain.note, None);
        let arm64 = no_volatility(true, Some(4));
        let other = of("x.isf.json.xz", None, arm64);
        assert!(
            other
                .note
                .unwrap()
                .contains("does not open memory of arm64")
        );
        let deep = of("x.isf.json.xz", None, no_volatility(false, Some(5)));
        assert_eq!(deep.volatility_command, "vol -s . -f IMAGE linux.pslist");
        assert!(deep.note.unwrap().contains("5-level"));
        let other = of("x.isf.json.xz", Some(image("-x.core.zst", false)), None);
        let expected = " convert ./-x.core.zst ./-x.core --volume 'a b'; vol -s . -f ./-x.core \
                        linux.pslist";
        let command = &other.volatility_command;
        assert!(command.ends_with(expected), "{command}");
        assert!(other.note.unwrap().contains("does not open"));
    }
}
