// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SHA-256 of files and other readers.

use super::sha256_of;
use crate::stop::Stop;
use linpmem_manifest::Sha256Sum;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes hashed at a time: few enough to stay in a processor's cache.
const STEP_BYTES: usize = 64 << 10;

/// The SHA-256 of the file at `path`.
///
/// # Errors
/// If it cannot be read; `Interrupted` if `stop` is raised before its end.
pub fn file_sha256(path: &Path, stop: &Stop) -> io::Result<Sha256Sum> {
    sha256_of_reader(File::open(path)?, stop)
}

/// The SHA-256 of everything that `reader` gives.
///
/// # Errors
/// As [`file_sha256`].
pub fn sha256_of_reader(mut reader: impl Read, stop: &Stop) -> io::Result<Sha256Sum> {
    let mut buf = vec![0; STEP_BYTES];
    let mut hasher = Sha256::new();
    loop {
        if stop.is_raised() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match reader.read(&mut buf) {
            Ok(0) => return Ok(sha256_of(hasher)),
            Ok(len) => hasher.update(buf.split_at(len).0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
