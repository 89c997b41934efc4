// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that vouch for a manifest: its signature, its timestamp and its custody. They are
//! about no other manifest, not even one that gets the same name.

use super::check_free;
use crate::sink::PartialError;
use linpmem_manifest::paths::vouching_for;
use std::io::ErrorKind;
use std::path::Path;

/// Checks that nothing vouches for a manifest at `manifest`, which is to be written.
///
/// # Errors
/// If something does and `force` is not set.
pub fn check_unvouched(manifest: &Path, force: bool) -> Result<(), PartialError> {
    let mut files = vouching_for(manifest).into_iter();
    files.try_for_each(|file| check_free(&file, force))
}

/// Removes what vouches for a manifest at `manifest` that is about to be replaced.
///
/// # Errors
/// If a file cannot be removed.
pub fn remove_vouching(manifest: &Path) -> Result<(), PartialError> {
    for path in vouching_for(manifest) {
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => {
                return Err(PartialError::Io {
                    action: "removing",
                    path,
                    source,
                });
            }
        }
    }
    Ok(())
}
