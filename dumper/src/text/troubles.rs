// SPDX-License-Identifier: MIT OR Apache-2.0
//! What contradicts itself in the memory of an image.

use linpmem_cli::printable;
use std::io::{self, Write};

/// A longer list is cut here; JSON has more of it.
const SHOWN: usize = 20;

/// Writes `troubles` below what they are about.
/// `more` were counted alone.
pub(super) fn write(troubles: &[String], more: u64, out: &mut dyn Write) -> io::Result<()> {
    for trouble in troubles.iter().take(SHOWN) {
        writeln!(out, "note: {}", printable(trouble))?;
    }
    let listed = troubles.len().saturating_sub(SHOWN);
    match (listed, more) {
        (0, 0) => Ok(()),
        (_, 0) => writeln!(out, "note: and {listed} more; --json lists all"),
        _ => writeln!(
            out,
            "note: and {listed} more, which --json lists, and {more} that were counted alone"
        ),
    }
}
