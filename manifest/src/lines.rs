// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of limited length.

use std::io::{self, BufRead, Read};

/// The longest line that is written and read. Only a header, with its list of
/// artifacts, comes near it.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// The result of reading a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A complete line, with its line feed.
    Whole,
    /// The input ends before the line feed, or there is no further line.
    End,
    /// It is longer than [`MAX_LINE_BYTES`].
    TooLong,
}

/// Reads the next line of `input` into `line`, replacing its content.
pub(crate) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let limit = linpmem_phys::num::usize_as_u64(MAX_LINE_BYTES);
    input.take(limit).read_until(b'\n', line)?;
    Ok(match line.last() {
        Some(b'\n') => Line::Whole,
        _ if line.len() == MAX_LINE_BYTES => Line::TooLong,
        _ => Line::End,
    })
}
