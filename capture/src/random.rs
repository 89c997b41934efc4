// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers that nothing else has.

use std::fs::File;
use std::io::{self, Read};

/// `N` times 16 random bytes.
pub fn random<const N: usize>() -> io::Result<[[u8; 16]; N]> {
    let mut bytes = [[0; 16]; N];
    File::open("/dev/urandom")?.read_exact(bytes.as_flattened_mut())?;
    Ok(bytes)
}
