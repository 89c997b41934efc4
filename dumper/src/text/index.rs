// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump index`: the images in a store.

use super::figures::count;
use linpmem_cli::Document;
use linpmem_cli::printable;
use linpmem_phys::num::usize_as_u64;
use serde::Serialize;
use std::io::{self, Write};

/// The images in a store.
#[derive(Debug, Serialize)]
pub struct IndexDocument {
    /// The store and the folder, without secrets.
    pub place: String,
    /// The images, in the order of their names.
    pub images: Vec<IndexedImage>,
}

/// An image in a store.
#[derive(Debug, Serialize)]
pub struct IndexedImage {
    /// Its name, with its folders.
    pub name: String,
    /// Bytes of the objects that have it.
    pub size_bytes: u64,
    /// `complete`, `partial` if its run ended early, or `open` if it has no manifest.
    pub state: &'static str,
}

impl Document for IndexDocument {
    const FORMAT: &'static str = "linpmem-dump index";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for image in &self.images {
            let name = printable(&image.name);
            writeln!(out, "{:<8}  {:>15}  {name}", image.state, image.size_bytes)?;
        }
        let complete = self.images.iter().filter(|image| image.state == "complete");
        writeln!(
            out,
            "{} in {}, {} complete",
            count(usize_as_u64(self.images.len()), "image"),
            printable(&self.place),
            complete.count()
        )
    }
}
