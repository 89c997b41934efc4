// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ls`: what lies beside the memory, and what should.

use super::{Evidence, EvidenceError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Evidence that cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It cannot be read.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// There is none.
    #[error("{0} has no evidence: neither in it nor in a file beside it")]
    None(PathBuf),
    /// stdout failed.
    #[error("writing to stdout: {0}")]
    Output(#[from] io::Error),
}

/// Prints length and name of every file that lies beside the memory of `image`,
/// and what is to be known of them.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn list(image: &Path, out: &mut dyn Write) -> Result<(), ListError> {
    let evidence =
        Evidence::of_image(image)?.ok_or_else(|| ListError::None(image.to_path_buf()))?;
    for entry in evidence.entries() {
        let bytes = match entry.length {
            Some(bytes) => bytes.to_string(),
            None => "?".to_owned(),
        };
        writeln!(out, "{bytes:>12}  {}", printable(&entry.name))?;
    }
    // Volumes of others have no facts.
    if let Ok(machine) = evidence.machine() {
        for gap in &machine.missing {
            let (name, reason) = (printable(&gap.name), printable(&gap.reason));
            writeln!(out, "{:>12}  {name}: {reason}", "missing")?;
        }
        for remark in &machine.remarks {
            let (name, text) = (printable(&remark.name), printable(&remark.text));
            writeln!(out, "{:>12}  {name}: {text}", "note")?;
        }
    }
    if let Some(damage) = evidence.damage() {
        writeln!(out, "{:>12}  {}", "damaged", printable(damage))?;
    }
    Ok(())
}

/// Text of a stranger, which may hold what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}
