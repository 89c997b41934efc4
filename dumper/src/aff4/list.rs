// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ls`: what lies in an AFF4 image beside the memory.

use linpmem_formats::Aff4Reader;
use std::io::{self, Write};

/// Prints length and path of every file in `image`.
///
/// # Errors
/// If `out` failed.
pub fn list(image: &Aff4Reader, out: &mut dyn Write) -> io::Result<()> {
    for file in image.files() {
        let bytes = file
            .bytes
            .map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
        writeln!(out, "{bytes:>12}  {}", file.path)?;
    }
    Ok(())
}
