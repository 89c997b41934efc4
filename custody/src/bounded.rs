// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files, which are read as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// All of the file at `path`.
///
/// # Errors
/// If it cannot be read, or has more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if linpmem_phys::num::len_bytes(&bytes) > limit {
        let message = format!("the file has more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The same for text.
///
/// # Errors
/// As [`read`], or if it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, limit)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not text"))
}
