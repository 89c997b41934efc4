// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what arrived is what its manifest says, from the disk that it is on.

use super::files::Files;
use super::{now, refused};
use crate::Reading;
use crate::artifacts::{ArtifactsVerdict, check};
use crate::hash::file_sha256;
use crate::meter::Meter;
use crate::pipeline::default_readers;
use crate::stop::Stop;
use crate::verify::{Thoroughness, Verification};
use linpmem_formats::aff4;
use linpmem_manifest::Sha256Sum;
use linpmem_remote::{Finish, Receipt, Refusal, RunId, SignedReceipt};
use std::io;

/// A receipt, and what is written beside the image.
pub(super) struct Confirmed {
    pub(super) receipt: Receipt,
    pub(super) answer: SignedReceipt,
    /// The same as JSON.
    pub(super) signed: Vec<u8>,
    pub(super) image_sha256: Sha256Sum,
}

/// Whether as much arrived as was sent.
pub(super) fn check_lengths(files: &Files, finish: &Finish) -> Result<(), Refusal> {
    let now = files.now();
    let pairs = [
        ("image", now.image_bytes, finish.image_bytes),
        ("manifest", now.manifest_bytes, finish.manifest_bytes),
        (
            "file with artifacts",
            now.artifacts_bytes.unwrap_or_default(),
            finish.artifacts_bytes.unwrap_or_default(),
        ),
    ];
    for (what, found, expected) in pairs {
        if found != expected {
            return Err(Refusal::new(format!(
                "{found} bytes of the {what} arrived, and {expected} were sent"
            )));
        }
    }
    Ok(())
}

/// Compares the image with its manifest, if it is whole, and makes the receipt.
pub(super) fn confirm(
    files: &Files,
    run: RunId,
    is_whole: bool,
    sign: impl FnOnce(&Receipt) -> io::Result<SignedReceipt>,
) -> Result<Confirmed, Refusal> {
    if is_whole {
        verify(files)?;
    }
    let stop = Stop::default();
    let sum = |path| {
        file_sha256(path, &stop).map_err(|error| refused("reading what was received", error))
    };
    let image_sha256 = sum(files.image.partial.partial())?;
    let manifest_sha256 = sum(files.manifest.partial.partial())?;
    let artifacts = files.artifacts.as_ref();
    let artifacts_sha256 = artifacts
        .map(|artifacts| sum(artifacts.partial.partial()))
        .transpose()?;
    let receipt = Receipt {
        run,
        image: files.image_name(),
        image_bytes: files.image_bytes(),
        image_sha256: image_sha256.to_string(),
        manifest_sha256: manifest_sha256.to_string(),
        artifacts_sha256: artifacts_sha256.map(|sum| sum.to_string()),
        is_verified: is_whole,
        received: now(),
    };
    let answer = sign(&receipt).map_err(|error| refused("signing the receipt", error))?;
    let mut signed = serde_json::to_vec_pretty(&answer)
        .map_err(|error| refused("writing the receipt", error))?;
    signed.push(b'\n');
    Ok(Confirmed {
        receipt,
        answer,
        signed,
        image_sha256,
    })
}

fn verify(files: &Files) -> Result<(), Refusal> {
    let image = files.image.partial.partial();
    let reading = Reading::default();
    let cannot = |error: &dyn std::fmt::Display| {
        refused("what arrived cannot be compared with its manifest", error)
    };
    let verification = Verification::open(image, Some(files.manifest.partial.partial()), &reading)
        .map_err(|error| cannot(&error))?;
    let thoroughness = Thoroughness {
        full: false,
        workers: default_readers(),
    };
    let report = verification
        .compare(thoroughness, &Meter::default())
        .map_err(|error| cannot(&error))?
        .ok_or_else(|| cannot(&"there is no manifest"))?;
    if let Some(damage) = report.damages.first() {
        return Err(refused("what arrived differs from its manifest", damage));
    }
    if let Some(unverified) = &report.unverified {
        return Err(cannot(unverified));
    }
    if let Some(volume) = verification.aff4() {
        let mut wrong = None;
        volume
            .verify(|check| {
                if let aff4::Verdict::Mismatch(what) = &check.verdict {
                    wrong.get_or_insert_with(|| format!("{}: {what}", check.object));
                }
            })
            .map_err(|error| cannot(&error))?;
        if let Some(what) = wrong {
            return Err(refused("what arrived differs from its own hashes", what));
        }
    }
    let artifacts = verification.artifacts();
    match artifacts.map(|record| check(image, record, &reading)) {
        Some(ArtifactsVerdict::Bad { reason, .. }) => Err(Refusal::new(reason)),
        _ => Ok(()),
    }
}
