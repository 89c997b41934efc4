// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump mount`: an image as a folder.

use linpmem_cli::{Document, printable};
use serde::Serialize;
use std::io::{self, Write};

/// An image that is mounted.
#[derive(Debug, Serialize)]
pub struct MountDocument {
    /// The image.
    pub image: String,
    /// Where it is mounted.
    pub folder: String,
    /// What unmounts it.
    pub unmount_command: String,
    /// Why the kernel is not found in it, if it is not.
    pub kernel_not_found: Option<String>,
}

impl Document for MountDocument {
    const FORMAT: &'static str = "linpmem-dump mount";

    /// Why the kernel is not found is said on stderr.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} is mounted on {}: `{}` or Ctrl-C unmounts it",
            printable(&self.image),
            printable(&self.folder),
            printable(&self.unmount_command)
        )
    }
}
