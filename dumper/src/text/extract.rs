// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump extract`: what was copied.

use linpmem_cli::Document;
use linpmem_manifest::{Address, UnreadableRecord};
use linpmem_phys::Errno;
use serde::Serialize;
use std::io::{self, Write};

/// A range of addresses, or an artifact, that was copied out of an image. stdout may
/// be the copy, so this goes to stderr.
#[derive(Debug, Serialize)]
pub struct ExtractDocument {
    /// The image.
    pub image: String,
    /// The copy; `-` for stdout.
    pub output: String,
    /// Size of the copy.
    pub size_bytes: u64,
    /// The addresses that were copied.
    pub range: Option<ExtractedRange>,
    /// The artifact that was copied.
    pub file: Option<String>,
    /// Addresses that the image does not have; zero in the copy.
    pub unreadable: Vec<UnreadableRecord>,
}

/// The addresses that were copied.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ExtractedRange {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
}

impl Document for ExtractDocument {
    const FORMAT: &'static str = "linpmem-dump extract";

    /// A complete copy needs no words.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for part in &self.unreadable {
            let (start, last) = (part.start.0, part.last.0);
            let errno = Errno::new(part.errno);
            writeln!(
                out,
                "{start:#x}-{last:#x} is not in the image ({errno}): zero in the output"
            )?;
        }
        Ok(())
    }
}
