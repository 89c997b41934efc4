// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text that others wrote.

/// Text of a stranger, without the control characters that a terminal would obey.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}
