// SPDX-License-Identifier: MIT OR Apache-2.0
//! A check of what a program prints.

use anyhow::{Result, ensure};

/// Requires that `text` contains each of `parts`.
pub fn contains(text: &str, parts: &[&str]) -> Result<()> {
    let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
    ensure!(missing.is_empty(), "{missing:?} not found in: {text}");
    Ok(())
}
