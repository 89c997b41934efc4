// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump verify`: is an image still what its manifest says?

use crate::args::VerifyArgs;
use crate::text::progress::Progress;
use crate::text::verification;
use linpmem_capture::artifacts::{self, ArtifactsVerdict};
use linpmem_capture::meter::Meter;
use linpmem_capture::pipeline::default_workers;
use linpmem_capture::verify::{Thoroughness, Verification, VerifyError};
use linpmem_formats::aff4;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A verification that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyCommandError {
    /// The image could not be compared.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// stdout failed.
    #[error("writing to stdout: {0}")]
    Output(#[from] io::Error),
}

/// Compares an image with its manifest, and an AFF4 image with the hashes inside it,
/// and prints what differs. The result is the exit code: 0 if nothing does, else 1.
///
/// # Errors
/// If the comparison could not be made.
pub fn verify(args: &VerifyArgs, out: &mut dyn Write) -> Result<u8, VerifyCommandError> {
    let image = Verification::open(&args.image, args.manifest.as_deref(), &args.volume)?;
    let mut is_good = true;
    if let Some(image) = image.aff4() {
        is_good &= own_hashes(image, out)?;
    }
    let Some(manifest) = image.manifest() else {
        let path = image.manifest_path().display();
        writeln!(out, "not compared with a manifest: {path} does not exist")?;
        return Ok(u8::from(!is_good));
    };
    let thoroughness = Thoroughness {
        full: args.full,
        workers: args.threads.unwrap_or_else(default_workers),
    };
    let meter = Arc::new(Meter::default());
    let planned = manifest.header.image.planned_bytes;
    let progress = Progress::show(args.progress, Arc::clone(&meter), planned, false);
    let report = image.compare(thoroughness, &meter);
    progress.end();
    if let Some(report) = report? {
        verification::write(&report, &args.image, out)?;
        is_good &= report.is_good();
    }
    if let Some(record) = &manifest.header.artifacts {
        is_good &= artifacts(&args.image, record, out)?;
    }
    Ok(u8::from(!is_good))
}

/// Checks every hash inside `image`, prints what came out, and returns whether all
/// match. Members of the archive are printed only if they are wrong.
///
/// # Errors
/// If `out` failed.
pub fn own_hashes(image: &aff4::Reader, out: &mut dyn Write) -> io::Result<bool> {
    let (mut right, mut wrong, mut unknown) = (0_u64, 0_u64, 0_u64);
    let mut printed = Ok(());
    image.verify(|check| {
        *match check.verdict {
            aff4::Verdict::Right => &mut right,
            aff4::Verdict::Wrong(_) => &mut wrong,
            _ => &mut unknown,
        } += 1;
        if check.level == aff4::Level::Member && check.verdict == aff4::Verdict::Right {
            return;
        }
        let algorithm = check
            .algorithm
            .map_or_else(|| "crc32".to_owned(), |algorithm| algorithm.to_string());
        if printed.is_ok() {
            printed = writeln!(
                out,
                "{:<12}  {algorithm:<7}  {}: {}",
                check.level, check.object, check.verdict
            );
        }
    });
    printed?;
    writeln!(
        out,
        "{right} hashes and checksums match, {wrong} do not, {unknown} are of an unknown kind"
    )?;
    Ok(wrong == 0)
}

/// Compares the artifacts, and prints how they are.
fn artifacts(
    image: &Path,
    record: &linpmem_manifest::ArtifactsRecord,
    out: &mut dyn Write,
) -> io::Result<bool> {
    match artifacts::check(image, record) {
        ArtifactsVerdict::InVolume => Ok(true),
        ArtifactsVerdict::Good { path, bytes } => {
            let path = path.display();
            writeln!(out, "{path}: the artifacts are good ({bytes} bytes)")?;
            Ok(true)
        }
        ArtifactsVerdict::Bad { path, reason } => {
            writeln!(out, "{}: {reason}", path.display())?;
            Ok(false)
        }
    }
}
