// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files of text with keys in them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most bytes of such a file.
const MAX_BYTES: u64 = 1 << 20;

/// The text of the file at `path`.
///
/// # Errors
/// If it cannot be read, is too large or no text.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(io::Error::other("it is too large for a file of keys"));
    }
    Ok(bytes)
}

/// The lines of `text` that are neither empty nor remarks, with their numbers from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
