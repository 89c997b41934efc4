// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump maps`: the mappings of the processes in an image.

use super::troubles;
use linpmem_cli::table::{self, Align};
use linpmem_cli::{Document, printable};
use linpmem_manifest::Address;
use serde::Serialize;
use std::io::{self, Write};

/// The mappings in an image.
#[derive(Debug, Serialize)]
pub struct MapsDocument {
    /// The image.
    pub image: String,
    /// The processes that have memory of their own.
    pub processes: Vec<ProcessRow>,
    /// What contradicts itself in memory, a sentence each.
    pub troubles: Vec<String>,
    /// How many more there are.
    pub more_troubles: u64,
}

/// A process.
#[derive(Debug, Serialize)]
pub struct ProcessRow {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// Its mappings, in the order of their addresses.
    pub mappings: Vec<MappingRow>,
}

/// A mapping.
#[derive(Debug, Serialize)]
pub struct MappingRow {
    /// Its first address.
    pub start: Address,
    /// Its last address, included.
    pub last: Address,
    /// As in /proc/PID/maps: `r-xp`.
    pub rights: String,
    /// `vm_flags`.
    pub flags: Address,
    /// Where in the file it begins; null if it is of no file.
    pub file_offset: Option<u64>,
    /// The file, if it is of one whose path could be read.
    pub path: Option<String>,
    /// Whether the file's name was removed.
    #[serde(rename = "deleted")]
    pub is_deleted: bool,
    /// What /proc/PID/maps shows, if that is another text: `[heap]`, `/tmp/x (deleted)`.
    pub name: Option<String>,
    /// Whether it is of a file.
    #[serde(skip)]
    pub is_file: bool,
    /// Where its `vm_area_struct` is.
    pub address: Address,
}

impl MappingRow {
    /// The file or the name, as /proc/PID/maps shows one of them.
    fn shown(&self) -> &str {
        match (&self.name, &self.path) {
            (Some(name), _) => name,
            (None, Some(path)) => path,
            (None, None) if self.is_file => "?",
            (None, None) => "",
        }
    }
}

impl Document for MapsDocument {
    const FORMAT: &'static str = "linpmem-dump maps";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for process in &self.processes {
            writeln!(out, "{} ({})", process.pid, printable(&process.name))?;
            let rows = process.mappings.iter().map(|mapping| {
                [
                    format!("{:#x}-{:#x}", mapping.start.0, mapping.last.0),
                    mapping.rights.clone(),
                    mapping
                        .file_offset
                        .map_or_else(String::new, |offset| format!("{offset:#x}")),
                    mapping.shown().to_owned(),
                ]
            });
            let columns = [
                ("ADDRESSES", Align::Left),
                ("RIGHTS", Align::Left),
                ("OFFSET", Align::Right),
                ("NAME", Align::Left),
            ];
            table::write(out, columns, rows)?;
        }
        troubles::write(&self.troubles, self.more_troubles, out)
    }
}
