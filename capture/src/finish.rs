// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finishing what a run was killed before it could: an image that turns out to be whole
//! gets its name.

use crate::Reading;
use crate::clock::Moment;
use crate::hash::file_sha256;
use crate::meter::Meter;
use crate::pipeline::default_readers;
use crate::sidecar;
use crate::sink::PartialError;
use crate::stop::Stop;
use crate::verify::{Thoroughness, Verification, VerifyError};
use linpmem_manifest::Record;
use linpmem_manifest::paths::{
    artifacts_of, checksum_of, final_of, is_encrypted_name, manifest_of, vouching_for,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The final name of an image that has its working name; `None` if it does not.
#[must_use]
pub fn final_name(partial: &Path) -> Option<PathBuf> {
    final_of(partial)
}

/// Whether the image at `path` is whole: its manifest says so, and every byte is what the
/// manifest says. `None` if there is no manifest that says whether the image is.
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
    // The manifest has an end or says that the image is written: nothing else is unknown.
    Ok(report.map(|report| report.damages.is_empty()))
}

/// Gives the whole image at `partial` the name `target`, and the files that belong to it
/// their names; the image last, as a run does it. Nothing is replaced.
///
/// # Errors
/// If one of the names is taken, or a file cannot be renamed.
pub fn name_whole(partial: &Path, target: &Path, reading: &Reading) -> Result<(), PartialError> {
    // What was renamed before the run was killed has the name without `.partial`.
    let own = final_name(partial).unwrap_or_else(|| partial.to_path_buf());
    for of in [artifacts_of, manifest_of] {
        let found = [of(partial), of(&own)]
            .into_iter()
            .find(|path| path.exists());
        if let Some(found) = found.filter(|found| *found != of(target)) {
            // The beginning of a manifest stays where it is: it names nothing.
            let is_manifest = found == manifest_of(partial) || found == manifest_of(&own);
            if is_manifest && !has_end(&found, reading)? {
                continue;
            }
            if is_manifest {
                let vouching = vouching_for(&found);
                let named = vouching.iter().zip(vouching_for(&of(target)));
                for (file, name) in named.filter(|(file, _)| file.exists()) {
                    rename(file, &name)?;
                }
            }
            rename(&found, &of(target))?;
        }
    }
    let manifest = reading.manifest(&manifest_of(target)).ok();
    let mut sum = manifest.and_then(|manifest| manifest.footer.file.sha256);
    if sum.is_some() && is_encrypted_name(partial) {
        // The one in the manifest is of what was encrypted.
        sum = file_sha256(partial, &Stop::default()).ok();
    }
    if let Some(sum) = sum.filter(|_| !checksum_of(target).exists()) {
        // The run may have been killed while it wrote the same.
        sidecar::write_checksum(target, sum, true)?;
    }
    rename(partial, target)
}

/// Whether the manifest at `path` is whole. One that ends where only hashes of the file were
/// missing gets its last line, unless it is encrypted.
fn has_end(path: &Path, reading: &Reading) -> Result<bool, PartialError> {
    let Ok(mut lines) = reading.manifest_lines(path) else {
        return Ok(false);
    };
    let mut written = None;
    let mut end = 0;
    while let Some(record) = lines.next() {
        match record {
            Ok(Record::Footer(_)) => return Ok(true),
            Ok(Record::Written(record)) => {
                written = Some(record);
                end = lines.position();
            }
            Ok(Record::SecondPassEnd(_)) => end = lines.position(),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let Some(written) = written.filter(|_| !is_encrypted_name(path)) else {
        return Ok(false);
    };
    let warning = "the run was killed while it hashed the image's file: the image is whole, but its \
                   file has no hash, and warnings of that run are lost";
    let footer = written.footer(vec![warning.to_owned()], Moment::now().stamp());
    let mut line = Vec::new();
    Record::Footer(Box::new(footer))
        .write_line(&mut line)
        .and_then(|()| {
            let manifest = OpenOptions::new().write(true).open(path)?;
            // What follows is the beginning of a line, or of a second pass.
            manifest.set_len(end)?;
            manifest.write_all_at(&line, end)?;
            manifest.sync_all()
        })
        .map_err(|source| PartialError::Io {
            action: "completing",
            path: path.to_path_buf(),
            source,
        })?;
    Ok(true)
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
