// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ls`: the artifacts of an image, and those that are missing.

use crate::args::ListArgs;
use crate::text::ls::{ListDocument, ListedFile};
use linpmem_capture::artifacts::{Artifacts, ArtifactsError};
use std::path::PathBuf;

/// Artifacts that cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// They cannot be read.
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// The image has none.
    #[error(
        "{0} has no artifacts, neither inside it nor in a file next to it; if its \
         .artifacts.tar.zst is elsewhere, name that file"
    )]
    None(PathBuf),
}

/// Lists the artifacts of the image of `args`.
///
/// # Errors
/// If it has none, or they cannot be read.
pub fn list(args: &ListArgs) -> Result<ListDocument, ListError> {
    let artifacts = Artifacts::read(&args.image, &args.reading.reading())?;
    let artifacts = artifacts.ok_or_else(|| ListError::None(args.image.clone()))?;
    let files = artifacts.entries().iter().map(|entry| ListedFile {
        name: entry.name.clone(),
        size_bytes: entry.length,
    });
    // Volumes of other programs have no facts.
    let machine = artifacts.machine().ok();
    let (missing, remarks) = machine
        .map(|machine| (machine.missing, machine.remarks))
        .unwrap_or_default();
    Ok(ListDocument {
        image: args.image.to_string_lossy().into_owned(),
        files: files.collect(),
        missing,
        remarks,
        damage: artifacts.damage().map(str::to_owned),
    })
}
