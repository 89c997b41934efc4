// SPDX-License-Identifier: MIT OR Apache-2.0
//! What contradicts itself in the memory of an image.

use linpmem_cli::printable;
use std::io::{self, Write};

/// A longer list is cut here; JSON has all of it.
const SHOWN: usize = 20;

/// Writes `troubles` below what they are about.
pub(super) fn write(troubles: &[String], out: &mut dyn Write) -> io::Result<()> {
    for trouble in troubles.iter().take(SHOWN) {
        writeln!(out, "note: {}", printable(trouble))?;
    }
    match troubles.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "note: and {more} more; --json lists all"),
    }
}
