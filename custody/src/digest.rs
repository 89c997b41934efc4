// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 of what is read.

use crate::bounded;
use linpmem_manifest::Sha256Sum;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::Path;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// The SHA-256 of all that `input` has left.
///
/// # Errors
/// Those of `input`.
pub fn sha256_of(mut input: impl Read) -> io::Result<Sha256Sum> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(Sha256Sum::new(hash.finalize().into())),
            Ok(count) => hash.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The SHA-256 of the file at `path`.
///
/// # Errors
/// If it cannot be read, or is not a regular file: a pipe is not waited for.
pub fn sha256_of_file(path: &Path) -> io::Result<Sha256Sum> {
    sha256_of(bounded::open_regular(path)?)
}

/// The SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256Sum {
    Sha256Sum::new(Sha256::digest(bytes).into())
}
