// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of an encrypted file, bounded before anything parses it.

use crate::error::OpenError;
use crate::layout::MAX_HEADER_BYTES;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The most lines of a header. Every recipient has two; the parser begins anew at each line.
const MAX_LINES: usize = 2048;

/// How the last line of a header begins; a hash and a line feed follow.
const LAST_LINE: &[u8] = b"\n--- ";
const HASH_BYTES: usize = 43;

/// The length of the header at the beginning of `file`.
///
/// # Errors
/// If it has no end within the limits.
pub fn header_len(file: &File) -> Result<u64, OpenError> {
    let head = head(file)?;
    let last = head
        .windows(LAST_LINE.len())
        .position(|window| window == LAST_LINE)
        .ok_or(OpenError::EndlessHeader)?;
    let lines = head.iter().take(last).filter(|&&byte| byte == b'\n');
    let end = last + LAST_LINE.len() + HASH_BYTES;
    if lines.count() > MAX_LINES || head.get(end) != Some(&b'\n') {
        return Err(OpenError::DamagedHeader);
    }
    u64::try_from(end + 1).map_err(|_| OpenError::DamagedHeader)
}

/// As much of `file` as a header may have.
fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; MAX_HEADER_BYTES];
    let mut len = 0;
    while let Some(rest) = head.get_mut(len..).filter(|rest| !rest.is_empty()) {
        let offset = u64::try_from(len).map_err(io::Error::other)?;
        match file.read_at(rest, offset) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(len);
    Ok(head)
}
