// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a program names itself.

/// The names that a program puts in front of what it says.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name, in front of warnings and summaries.
    pub name: &'static str,
    /// The `format` of its errors in JSON.
    pub error_format: &'static str,
    /// What its errors begin with in words, with the blank after it.
    pub error_prefix: &'static str,
}
