// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finishing what a run was killed before it could: an image that turns out to be whole
//! gets its name.

use crate::Reading;
use crate::meter::Meter;
use crate::pipeline::default_readers;
use crate::sidecar;
use crate::sink::PartialError;
use crate::verify::{Thoroughness, Verification, VerifyError};
use linpmem_manifest::paths::{artifacts_of, checksum_of, manifest_of};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// The final name of an image that has its working name; `None` if it does not.
#[must_use]
pub fn final_name(partial: &Path) -> Option<PathBuf> {
    let is_partial = partial.extension().is_some_and(|last| last == "partial");
    is_partial.then(|| partial.with_extension(""))
}

/// Whether the image at `path` is whole: its manifest says so, and every byte is what the
/// manifest says. `None` if there is no manifest with an end.
///
/// # Errors
/// If the comparison failed.
pub fn is_whole(path: &Path, reading: &Reading) -> Result<Option<bool>, VerifyError> {
    let verification = match Verification::open(path, None, reading) {
        Ok(verification) => verification,
        Err(VerifyError::Manifest(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !verification.has_whole_manifest() {
        return Ok(None);
    }
    let thoroughness = Thoroughness {
        full: false,
        workers: default_readers(),
    };
    let report = verification.compare(thoroughness, &Meter::default())?;
    Ok(report.map(|report| report.is_good()))
}

/// Gives the whole image at `partial` the name `target`, and the files that belong to it
/// their names; the image last, as a run does it. Nothing is replaced.
///
/// # Errors
/// If one of the names is taken, or a file cannot be renamed.
pub fn name_whole(partial: &Path, target: &Path) -> Result<(), PartialError> {
    // What was renamed before the run was killed has the name without `.partial`.
    let own = final_name(partial).unwrap_or_else(|| partial.to_path_buf());
    for of in [artifacts_of, manifest_of] {
        let found = [of(partial), of(&own)]
            .into_iter()
            .find(|path| path.exists());
        if let Some(found) = found.filter(|found| *found != of(target)) {
            // The beginning of a manifest stays where it is: it names nothing.
            let is_manifest = found == manifest_of(partial) || found == manifest_of(&own);
            if is_manifest && linpmem_manifest::read(&found).is_err() {
                continue;
            }
            rename(&found, &of(target))?;
        }
    }
    let manifest = linpmem_manifest::read(&manifest_of(target)).ok();
    let sum = manifest.and_then(|manifest| manifest.footer.file.sha256);
    if let Some(sum) = sum.filter(|_| !checksum_of(target).exists()) {
        // The run may have been killed while it wrote the same.
        sidecar::write_checksum(target, sum, true)?;
    }
    rename(partial, target)
}

fn rename(from: &Path, to: &Path) -> Result<(), PartialError> {
    let failed = |source| PartialError::Io {
        action: "renaming",
        path: from.to_path_buf(),
        source,
    };
    let taken = || PartialError::Exists {
        path: to.to_path_buf(),
    };
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(taken()),
        // Some file systems cannot promise that.
        Err(Errno::INVAL) if to.symlink_metadata().is_ok() => Err(taken()),
        Err(Errno::INVAL) => std::fs::rename(from, to).map_err(failed),
        Err(errno) => Err(failed(io::Error::from(errno))),
    }
}
