// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `verify` says of an encrypted image without its private key.

use super::vouching::{Trusted, events};
use crate::args::{ProgressStyle, VerifyArgs};
use crate::text::progress::Progress;
use crate::text::verify::{EncryptedCheck, EncryptedFileLine, VerifyDocument};
use linpmem_capture::meter::Meter;
use linpmem_capture::verify::{EncryptedFileCheck, EncryptedFiles, VerifyError};
use linpmem_manifest::paths::manifest_beside;
use std::fs::File;
use std::sync::Arc;

/// Compares `files`, those of the image of `args`, with the sums that need no key, and checks what
/// vouches for the manifest.
///
/// # Errors
/// If there is no manifest.
pub fn without_key(
    args: &VerifyArgs,
    style: ProgressStyle,
    trusted: &Trusted,
    files: &EncryptedFiles,
) -> Result<VerifyDocument, VerifyError> {
    let path = args.manifest.clone();
    let path = path.unwrap_or_else(|| manifest_beside(&args.image));
    let manifest = || {
        File::open(&path).map_err(|source| VerifyError::Image {
            path: path.clone(),
            source,
        })
    };
    let mut document = VerifyDocument {
        encrypted: Some(encrypted(files, style)),
        manifest: Some(path.to_string_lossy().into_owned()),
        not_compared: Some(
            "the image is encrypted, and only its encrypted files were compared with their hashes, \
             which prove no more than that nothing changed by accident; what is in it was not checked \
             (--identity does that)"
                .to_owned(),
        ),
        signature: trusted.signature(&path, manifest()?),
        timestamp: trusted.timestamp(&path, manifest()?),
        custody: events(&path, manifest()?),
        ..VerifyDocument::of(args.image.to_string_lossy().into_owned())
    };
    document.good = document.encrypted.iter().all(EncryptedCheck::is_good) && document.is_vouched();
    Ok(document)
}

/// Compares `files` with the sums that need no key.
pub fn encrypted(files: &EncryptedFiles, style: ProgressStyle) -> EncryptedCheck {
    let meter = Arc::new(Meter::default());
    let progress = Progress::show(style, Arc::clone(&meter), files.bytes(), false);
    let found = files.compare(&meter);
    progress.end();
    let line = |check: EncryptedFileCheck| EncryptedFileLine {
        path: check.path.to_string_lossy().into_owned(),
        good: check.verdict.is_ok(),
        size_bytes: check.verdict.as_ref().ok().copied(),
        reason: check.verdict.err(),
    };
    EncryptedCheck {
        path: files.path.to_string_lossy().into_owned(),
        image_id: files.record.image_id.map(|id| id.to_string()),
        state: files.record.state,
        recipients: files.record.recipients.clone(),
        files: found.into_iter().map(line).collect(),
    }
}
