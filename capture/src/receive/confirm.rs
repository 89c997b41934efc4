// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what arrived is what its manifest says, from the disk that it is on.

use super::files::Files;
use super::growing::Growing;
use super::{bug, now, refused};
use crate::Reading;
use crate::artifacts::{ArtifactsVerdict, check};
use crate::hash::file_sha256;
use crate::meter::Meter;
use crate::pipeline::default_readers;
use crate::stop::Stop;
use crate::verify::{Thoroughness, Verification};
use linpmem_formats::aff4;
use linpmem_manifest::paths::is_encrypted_name;
use linpmem_manifest::{EncryptionRecord, Sha256Sum};
use linpmem_remote::{Finish, Receipt, Refusal, RunId, SignedReceipt};
use std::io;
use std::thread;

/// A receipt, and what is written beside the image.
pub(super) struct Confirmed {
    pub(super) receipt: Receipt,
    pub(super) answer: SignedReceipt,
    /// The same as JSON.
    pub(super) signed: Vec<u8>,
    pub(super) image_sha256: Sha256Sum,
    /// Of an encrypted image, what is known without a key, as it is written beside the image.
    pub(super) encryption: Option<Vec<u8>>,
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
    finish: &Finish,
    sign: impl FnOnce(&Receipt) -> io::Result<SignedReceipt>,
) -> Result<Confirmed, Refusal> {
    let is_whole = finish.is_whole;
    let image_path = files.image.partial.partial();
    let is_encrypted = is_encrypted_name(image_path);
    let stop = Stop::default();
    let sum = |path| {
        file_sha256(path, &stop).map_err(|error| refused("reading what was received", error))
    };
    // Both read all of the image, the second one from the page cache.
    let image_sha256 = thread::scope(|scope| {
        let summing = scope.spawn(|| sum(image_path));
        if is_whole && !is_encrypted {
            verify(files).inspect_err(|_| stop.raise())?;
        }
        summing.join().unwrap_or_else(|_| Err(bug()))
    })?;
    let manifest_sha256 = sum(files.manifest.partial.partial())?;
    let artifacts = files.artifacts.as_ref();
    let artifacts_sha256 = artifacts
        .map(|artifacts| sum(artifacts.partial.partial()))
        .transpose()?;
    let encryption = match (&finish.encryption, is_encrypted) {
        (Some(text), true) => {
            let record = EncryptionRecord::parse(text.as_bytes())
                // The reason may quote what was sent.
                .map_err(|_| Refusal::new("the sums of the encrypted files cannot be read"))?;
            compare(
                files,
                &record,
                is_whole,
                [Some(image_sha256), Some(manifest_sha256), artifacts_sha256],
            )?;
            let text = record.to_text();
            Some(text.map_err(|error| refused("the sums of the encrypted files", error))?)
        }
        (None, true) if is_whole => {
            return Err(Refusal::new(
                "the encrypted image came without the sums of its files",
            ));
        }
        (Some(_), false) => {
            return Err(Refusal::new(
                "the image is not encrypted, as its sender says it is",
            ));
        }
        (None, _) => None,
    };
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
        encryption,
    })
}

/// Compares the files of an encrypted image with what their sender says of them: the names that
/// they get, and, of a whole one, lengths and `sums`. Nothing more can be known without a key.
fn compare(
    files: &Files,
    record: &EncryptionRecord,
    is_whole: bool,
    sums: [Option<Sha256Sum>; 3],
) -> Result<(), Refusal> {
    let named = |growing: &Growing| {
        let path = match is_whole {
            true => growing.partial.path(),
            false => growing.partial.partial(),
        };
        let name = path.file_name().unwrap_or_default();
        (name.to_string_lossy().into_owned(), growing.length())
    };
    let artifacts = files.artifacts.as_ref().map(named);
    let found = [
        Some(named(&files.image)),
        Some(named(&files.manifest)),
        artifacts,
    ];
    let told = [
        Some(&record.image),
        Some(&record.manifest),
        record.artifacts.as_ref(),
    ];
    for ((found, sum), told) in found.into_iter().zip(sums).zip(told) {
        let expected = match (found, told) {
            (None, None) => continue,
            (Some((name, length)), Some(told)) if told.name.as_deref() == Some(&name) => {
                (told.length == Some(length) && told.sha256 == sum) || !is_whole
            }
            _ => false,
        };
        if !expected {
            return Err(Refusal::new(
                "what arrived differs from what its sender says of its encrypted files",
            ));
        }
    }
    Ok(())
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
