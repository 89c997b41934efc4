// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SHA-256 of a file on disk.

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
    let mut file = File::open(path)?;
    let mut buf = vec![0; STEP_BYTES];
    let mut hasher = Sha256::new();
    loop {
        if stop.is_raised() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = match file.read(&mut buf) {
            Ok(0) => return Ok(sha256_of(hasher)),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buf.get(..len).unwrap_or_default());
    }
}
