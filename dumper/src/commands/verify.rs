// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump verify`: is an image still what its manifest says?

use super::verify_encrypted::{encrypted, without_key};
use super::vouching::{Trusted, TrustedError, events};
use crate::args::{ProgressStyle, UsageError, VerifyArgs, stored_at};
use crate::text::progress::Progress;
use crate::text::verify::{
    ArtifactsCheck, Comparison, DamageLine, EncryptedCheck, HashCheck, HashVerdict, ImageHashes,
    StoreCheck, VerifyDocument,
};
use crate::text::vouching::{SignatureCheck, TimestampCheck};
use linpmem_capture::artifacts::{self, ArtifactsVerdict};
use linpmem_capture::is_encrypted;
use linpmem_capture::meter::Meter;
use linpmem_capture::pipeline::default_readers;
use linpmem_capture::verify::{
    Damage, EncryptedFiles, InStoreError, NoSums, Report, Thoroughness, Verification, VerifyError,
    verify_in_store,
};
use linpmem_capture::{Location, StoreSpec};
use linpmem_cli::ExitStatus;
use linpmem_formats::{ImageReader, OverBudget, aff4};
use std::sync::Arc;
use std::time::Duration;

/// A verification that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyCommandError {
    /// The options contradict each other.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The hashes inside the image are too much work.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// What is to be trusted cannot be read.
    #[error(transparent)]
    Trusted(#[from] TrustedError),
    /// Somebody should vouch for a manifest that has no file.
    #[error(
        "{0} has no manifest next to it, which is what is signed and stamped: name it with --manifest"
    )]
    NotVouched(String),
    /// The image is encrypted, and has no sums.
    #[error("{0}: {1}")]
    NoSums(String, NoSums),
    /// The image could not be compared.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The image in a store could not be compared.
    #[error(transparent)]
    InStore(#[from] InStoreError),
    /// Options about files next to an image.
    #[error(
        "an image in a store is compared with the sums that its run left there, and nothing else: get \
         its files, and decrypt them, or check who vouches for them, here"
    )]
    NotInStore,
}

/// Compares an image with its manifest, and an AFF4 image with the hashes inside it.
///
/// # Errors
/// If the comparison failed.
pub fn verify(args: &VerifyArgs) -> Result<VerifyDocument, VerifyCommandError> {
    let style = args.progress.with_json(args.json)?;
    let trusted = Trusted::of(&args.trust)?;
    if let Some(location) = stored_at(args.image.as_os_str())? {
        let has_keys = !args.reading.reading().identities.is_empty();
        if trusted.is_demanding() || args.manifest.is_some() || has_keys {
            return Err(VerifyCommandError::NotInStore);
        }
        return in_store(location, args, style);
    }
    let reading = args.reading.reading();
    let is_encrypted = is_encrypted(&args.image).unwrap_or_default();
    if is_encrypted && reading.identities.is_empty() {
        let files = EncryptedFiles::of(&args.image, args.manifest.as_deref());
        let files = files
            .map_err(|error| VerifyCommandError::NoSums(args.image.display().to_string(), error))?;
        return Ok(without_key(args, style, &trusted, &files)?);
    }
    let image = Verification::open(&args.image, args.manifest.as_deref(), &reading)?;
    let manifest_path = image.manifest_path().to_string_lossy().into_owned();
    let mut document = VerifyDocument {
        image_hashes: image.aff4().map(image_hashes).transpose()?,
        ..VerifyDocument::of(args.image.to_string_lossy().into_owned())
    };
    if image.manifest_file().is_none() && trusted.is_demanding() {
        return Err(VerifyCommandError::NotVouched(document.image));
    }
    if let Some((path, bytes)) = image.manifest_file() {
        document.signature = trusted.signature(path, bytes);
    }
    if let Some((path, bytes)) = image.manifest_file() {
        document.timestamp = trusted.timestamp(path, bytes);
    }
    if let Some((path, bytes)) = image.manifest_file() {
        document.custody = events(path, bytes);
    }
    let Some(header) = image.header() else {
        document.not_compared = Some(format!("{manifest_path} does not exist"));
        document.good = document.image_hashes.iter().all(ImageHashes::is_good);
        // The hashes of what is left may match: that does not make it whole.
        if let Some(cut) = image.aff4().and_then(ImageReader::truncation) {
            document.not_compared = Some(cut.to_string());
            document.good = false;
        }
        return Ok(document);
    };
    document.manifest = Some(manifest_path);
    let thoroughness = Thoroughness {
        full: args.full,
        workers: args.threads.unwrap_or_else(default_readers),
    };
    let meter = Arc::new(Meter::default());
    let planned = header.image.planned_bytes;
    let progress = Progress::show(style, Arc::clone(&meter), planned, false);
    let report = image.compare(thoroughness, &meter);
    progress.end();
    match report {
        Ok(report) => document.comparison = report.map(comparison),
        // What the image's own hashes say must not be lost with it.
        Err(error) if document.image_hashes.is_some() => {
            document.not_compared = Some(error.to_string());
            document.good = false;
        }
        Err(error) => return Err(error.into()),
    }
    // Without them, nothing but the key was needed to read what was encrypted.
    if is_encrypted && args.full {
        if let Ok(files) = EncryptedFiles::of(&args.image, args.manifest.as_deref()) {
            document.encrypted = Some(encrypted(&files, style));
        }
    }
    if let Some(record) = image.artifacts() {
        document.artifacts = artifacts_check(artifacts::check(&args.image, record, &reading));
    }
    document.good &= document.image_hashes.iter().all(ImageHashes::is_good)
        && document.encrypted.iter().all(EncryptedCheck::is_good)
        && document.comparison.iter().all(|comparison| comparison.good)
        && document.artifacts.iter().all(|artifacts| artifacts.good)
        && document.is_vouched();
    Ok(document)
}

/// How long a store is waited for.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Compares an image in a store.
fn in_store(
    location: Location,
    args: &VerifyArgs,
    style: ProgressStyle,
) -> Result<VerifyDocument, VerifyCommandError> {
    let image = location.to_string();
    let spec = StoreSpec {
        location,
        ca: args.ca.clone(),
        give_up: GIVE_UP,
        part_bytes: None,
    };
    let meter = Arc::new(Meter::default());
    let progress = Progress::show(style, Arc::clone(&meter), 0, false);
    let found = verify_in_store(&spec, args.full, &meter);
    progress.end();
    let found = found?;
    let good = found.damages.is_empty();
    Ok(VerifyDocument {
        good,
        manifest: Some(found.manifest),
        store: Some(StoreCheck {
            good,
            objects: found.objects,
            parts: found.parts,
            file_bytes: found.length,
            read_bytes: found.read_bytes,
            encrypted: found.is_encrypted,
            damages: found.damages,
        }),
        ..VerifyDocument::of(image)
    })
}

impl VerifyDocument {
    /// Whether nothing that vouches for the manifest is wrong.
    pub(crate) fn is_vouched(&self) -> bool {
        self.signature.iter().all(SignatureCheck::is_good)
            && self.timestamp.iter().all(TimestampCheck::is_good)
            && self.custody.iter().all(|events| events.good)
    }

    /// What the exit code says: whether all is there and good, or what could be compared is.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        if self.good {
            return ExitStatus::Complete;
        }
        let is_unverified = self.comparison.as_ref().is_some_and(|comparison| {
            comparison.damages.is_empty() && comparison.unverified.is_some()
        });
        let is_rest_good = self.not_compared.is_none()
            && self.image_hashes.iter().all(ImageHashes::is_good)
            && self.encrypted.iter().all(EncryptedCheck::is_good)
            && self.artifacts.iter().all(|artifacts| artifacts.good)
            && self.is_vouched();
        match is_unverified && is_rest_good {
            true => ExitStatus::Unreadable,
            false => ExitStatus::Failed,
        }
    }
}

/// Checks every hash inside `image`.
///
/// # Errors
/// If that takes more than the budget of the image.
pub fn image_hashes(image: &aff4::Reader) -> Result<ImageHashes, OverBudget> {
    let mut hashes = ImageHashes::default();
    image.verify(|check| {
        let (verdict, detail) = match &check.verdict {
            aff4::Verdict::Match => (HashVerdict::Match, None),
            aff4::Verdict::Mismatch(what) => (HashVerdict::Mismatch, Some(what.clone())),
            aff4::Verdict::NotChecked(why) => (HashVerdict::NotChecked, Some(why.clone())),
            other => (HashVerdict::NotChecked, Some(other.to_string())),
        };
        *match verdict {
            HashVerdict::Match => &mut hashes.matching,
            HashVerdict::Mismatch => &mut hashes.mismatching,
            HashVerdict::NotChecked => &mut hashes.not_checked,
        } += 1;
        hashes.checks.push(HashCheck {
            level: check.level.to_string(),
            object: check.object.clone(),
            algorithm: check
                .algorithm
                .map_or_else(|| "crc32".to_owned(), |algorithm| algorithm.to_string()),
            verdict,
            detail,
        });
    })?;
    Ok(hashes)
}

fn comparison(report: Report) -> Comparison {
    let damages = report.damages.iter().map(|damage| DamageLine {
        kind: kind(damage),
        message: damage.to_string(),
    });
    Comparison {
        good: report.is_good(),
        damages: damages.collect(),
        unverified: report.unverified.map(|part| part.to_string()),
        ranges: report.ranges,
        chunks: report.chunks,
        file_bytes: report.length,
        every_byte: report.covered,
        whole_file: report.whole,
        elapsed: report.elapsed,
    }
}

const fn kind(damage: &Damage) -> &'static str {
    match damage {
        Damage::NotComplete { .. } => "not-complete",
        Damage::Truncated { .. } => "truncated",
        Damage::Appended { .. } => "appended",
        Damage::Chunk { .. } => "chunk",
        Damage::MoreChunks(_) => "more-chunks",
        Damage::Range { .. } => "range",
        Damage::Remainder { .. } => "remainder",
        Damage::FurtherHash { .. } | Damage::File { .. } => "file",
        _ => "other",
    }
}

fn artifacts_check(verdict: ArtifactsVerdict) -> Option<ArtifactsCheck> {
    let (path, size_bytes, reason) = match verdict {
        ArtifactsVerdict::InVolume => return None,
        ArtifactsVerdict::Good { path, bytes } => (path, Some(bytes), None),
        ArtifactsVerdict::Bad { path, reason } => (path, None, Some(reason)),
    };
    Some(ArtifactsCheck {
        path: path.to_string_lossy().into_owned(),
        good: reason.is_none(),
        size_bytes,
        reason,
    })
}
