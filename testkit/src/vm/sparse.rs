// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sparse files: blocks of zeros become holes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The size of a block, in bytes.
const BLOCK: usize = 64 << 10;

/// A new, empty file that only its owner may read. Replaces an existing one.
pub fn create(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Copies all of `source` into `target` at `offset`, without blocks of zeros: `target`
/// must be zero there. Returns the number of bytes read.
pub fn copy(source: &mut impl Read, target: &File, offset: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut done: u64 = 0;
    loop {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match source.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let bytes = buffer.get(..filled).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(done);
        }
        for block in bytes.chunks(BLOCK) {
            if block.iter().any(|&byte| byte != 0) {
                target.write_all_at(block, offset + done)?;
            }
            done += u64::try_from(block.len()).map_err(io::Error::other)?;
        }
    }
}
