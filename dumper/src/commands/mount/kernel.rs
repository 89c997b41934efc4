// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine in the image, and the texts of what is found there: those of `dmesg`, `maps` and
//! `files`.

use crate::commands::machine_in_image::Opened;
use crate::commands::{dmesg, files, maps};
use linpmem_cli::{Document, Door};
use linpmem_inspect::{Found, LogRecord, Machine, Mapping, OpenFile, Task};
use linpmem_mount::{OpenMachine, Wording};

/// An opened image and its artifacts.
pub(super) struct MachineInImage(pub(super) Opened);

impl OpenMachine for MachineInImage {
    fn machine(&self) -> Result<Machine<'_>, String> {
        self.0.machine().map_err(|error| error.to_string())
    }
}

/// Writes what the commands write.
pub(super) struct Documents;

impl Wording for Documents {
    fn log(&self, found: Found<LogRecord>) -> Vec<u8> {
        text(&dmesg::document(String::new(), found))
    }

    fn mappings(&self, task: &Task, found: Found<Mapping>) -> Vec<u8> {
        text(&maps::document_of(task, found))
    }

    fn files(&self, task: &Task, found: Found<OpenFile>) -> Vec<u8> {
        text(&files::document_of(task, found))
    }
}

/// The words of `document`, of which nothing moves a terminal's cursor.
fn text<D: Document>(document: &D) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes everything.
    let _ = document.write_text(&mut Door::for_words(&mut bytes));
    bytes
}
