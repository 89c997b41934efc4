// SPDX-License-Identifier: MIT OR Apache-2.0
//! The holes of a file: zero bytes that take no space.

use rustix::fs::{SeekFrom, seek};
use std::fs::File;

/// How many of the `len` bytes from `position` on are in a hole of `file`, which has
/// `length` bytes.
#[must_use]
pub fn hole(file: &File, length: u64, position: u64, len: u64) -> u64 {
    let data = match seek(file, SeekFrom::Data(position)) {
        Ok(data) => data,
        Err(rustix::io::Errno::NXIO) => length,
        Err(_) => position,
    };
    data.saturating_sub(position).min(len)
}
