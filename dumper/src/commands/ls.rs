// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ls`: the artifacts of an image, and those that are missing.

use crate::text::printable;
use linpmem_capture::artifacts::{Artifacts, ArtifactsError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Artifacts that cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It cannot be read.
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// There is none.
    #[error("{0} has no artifacts, neither inside it nor in a file beside it")]
    None(PathBuf),
    /// stdout failed.
    #[error("writing to stdout: {0}")]
    Output(#[from] io::Error),
}

/// Prints length and name of every artifact of `image`, and remarks on them.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn list(image: &Path, out: &mut dyn Write) -> Result<(), ListError> {
    let artifacts =
        Artifacts::of_image(image)?.ok_or_else(|| ListError::None(image.to_path_buf()))?;
    for entry in artifacts.entries() {
        let bytes = match entry.length {
            Some(bytes) => bytes.to_string(),
            None => "?".to_owned(),
        };
        writeln!(out, "{bytes:>12}  {}", printable(&entry.name))?;
    }
    // Volumes of others have no facts.
    if let Ok(machine) = artifacts.machine() {
        for gap in &machine.missing {
            let (name, reason) = (printable(&gap.name), printable(&gap.reason));
            writeln!(out, "{:>12}  {name}: {reason}", "missing")?;
        }
        for remark in &machine.remarks {
            let (name, text) = (printable(&remark.name), printable(&remark.text));
            writeln!(out, "{:>12}  {name}: {text}", "note")?;
        }
    }
    if let Some(damage) = artifacts.damage() {
        writeln!(out, "{:>12}  {}", "damaged", printable(damage))?;
    }
    Ok(())
}
