// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ls`: the artifacts of an image.

use linpmem_cli::Document;
use linpmem_cli::printable;
use linpmem_manifest::{Missing, Remark};
use serde::Serialize;
use std::io::{self, Write};

/// The artifacts of an image, and what is missing.
#[derive(Debug, Serialize)]
pub struct ListDocument {
    /// The image, or the file of artifacts.
    pub image: String,
    /// The artifacts, in the order in which they are stored.
    pub files: Vec<ListedFile>,
    /// What could not be collected.
    pub missing: Vec<Missing>,
    /// Remarks about single files.
    pub remarks: Vec<Remark>,
    /// Why the list is not complete, if the archive is damaged.
    pub damage: Option<String>,
}

/// An artifact.
#[derive(Debug, Serialize)]
pub struct ListedFile {
    /// Its path on the machine, without the first slash.
    pub name: String,
    /// Its size, if that is known without unpacking it.
    pub size_bytes: Option<u64>,
}

impl Document for ListDocument {
    const FORMAT: &'static str = "linpmem-dump ls";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for file in &self.files {
            let bytes = file
                .size_bytes
                .map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
            writeln!(out, "{bytes:>12}  {}", printable(&file.name))?;
        }
        for Missing { name, reason } in &self.missing {
            let (name, reason) = (printable(name), printable(reason));
            writeln!(out, "{:>12}  {name}: {reason}", "missing")?;
        }
        for Remark { name, text } in &self.remarks {
            let (name, text) = (printable(name), printable(text));
            writeln!(out, "{:>12}  {name}: {text}", "note")?;
        }
        if let Some(damage) = &self.damage {
            writeln!(out, "{:>12}  {}", "damaged", printable(damage))?;
        }
        Ok(())
    }
}
