// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump verify`: is an image still what its manifest says?

mod check;
mod layout;
mod memory;
mod outside;
mod report;

pub use check::CheckError;
pub use layout::LayoutError;
pub use report::{Damage, Report};

use crate::acquire::workers;
use crate::aff4;
use crate::args::VerifyArgs;
use crate::evidence::{self, Evidence, MANIFEST};
use crate::manifest::{self, Manifest, ReadError};
use crate::naming::manifest_of;
use crate::progress::{Meter, Progress};
use crate::source::{ImageSourceError, open_reader_at};
use check::Check;
use layout::Layout;
use linpmem_formats::{ImageReader, aff4::Error as Aff4Error};
use memory::Memory;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// An image that could not be compared with its manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No manifest.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// A manifest that cannot be true.
    #[error("{path}: {source}")]
    Layout {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        source: LayoutError,
    },
    /// An AFF4 image that cannot be read.
    #[error("{path}: {source}")]
    Aff4 {
        /// The image.
        path: PathBuf,
        /// Why.
        source: Aff4Error,
    },
    /// An image that does not open.
    #[error("{path}: {source}")]
    Open {
        /// The image.
        path: PathBuf,
        /// Why.
        source: ImageSourceError,
    },
    /// No image.
    #[error("{path}: {source}")]
    Image {
        /// The image.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The comparison could not be made.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// stdout failed.
    #[error("writing to stdout: {0}")]
    Output(#[source] io::Error),
}

/// Compares the image of `args` with its manifest, and what is in an AFF4 image
/// with its own hashes, and says what differs. The result is the exit code: 0 if
/// nothing does, else 1.
///
/// # Errors
/// If the comparison could not be made.
pub fn verify(args: &VerifyArgs, out: &mut dyn Write) -> Result<u8, VerifyError> {
    let begun = Instant::now();
    let aff4 = aff4::opened(&args.image, &args.volume).map_err(|source| VerifyError::Aff4 {
        path: args.image.clone(),
        source,
    })?;
    let path = match &args.manifest {
        Some(path) => path.clone(),
        None => manifest_beside(&args.image),
    };
    let mut code = 0;
    if let Some(image) = &aff4 {
        code = aff4::verify(image, out).map_err(VerifyError::Output)?;
    }
    let manifest = match &aff4 {
        Some(_) if args.manifest.is_none() && !path.exists() => within(&args.image),
        _ => manifest::read(&path).map(Some),
    };
    let Some(mut manifest) = manifest? else {
        let path = path.display();
        writeln!(out, "not compared with a manifest: there is no {path}")
            .map_err(VerifyError::Output)?;
        return Ok(code);
    };
    if manifest.file.length == 0 {
        // One that lay in an image: all but the file itself can be compared.
        let metadata = std::fs::metadata(&args.image);
        let metadata = metadata.map_err(|source| VerifyError::Image {
            path: args.image.clone(),
            source,
        })?;
        manifest.file.length = metadata.len();
    }
    let layout = |source| VerifyError::Layout {
        path: path.clone(),
        source,
    };
    let places = Layout::new(&manifest).map_err(layout)?;
    let reader: Option<Box<dyn ImageReader>> = match aff4 {
        Some(image) => Some(Box::new(image)),
        None => reader_of(&args.image, &manifest)?,
    };
    if let (None, Some(chunk)) = (&reader, places.first_without_place()) {
        return Err(layout(LayoutError::NoPlace {
            addresses: chunk.addresses,
        }));
    }
    let report = compare(args, &places, reader.as_deref(), begun)?;
    report
        .write(&args.image, out)
        .map_err(VerifyError::Output)?;
    if let Some(record) = &manifest.evidence {
        let is_good = evidence::check(&args.image, record, out).map_err(VerifyError::Output)?;
        code = code.max(u8::from(!is_good));
    }
    Ok(code.max(u8::from(!report.is_good())))
}

/// The manifest that lies in the volume `image`, if one does.
fn within(image: &Path) -> Result<Option<Manifest>, ReadError> {
    let Ok(Some(evidence)) = Evidence::of_image(image) else {
        return Ok(None);
    };
    match evidence.open(MANIFEST) {
        Ok(content) => manifest::parse(content, &image.join(MANIFEST)).map(Some),
        Err(_) => Ok(None),
    }
}

/// Reads the memory of images in which it does not lie in one piece.
fn reader_of(
    path: &Path,
    manifest: &Manifest,
) -> Result<Option<Box<dyn ImageReader>>, VerifyError> {
    if !matches!(manifest.image.format.as_str(), "kdump" | "avml") {
        return Ok(None);
    }
    open_reader_at(path, Some(manifest))
        .map(Some)
        .map_err(|source| VerifyError::Open {
            path: path.to_path_buf(),
            source,
        })
}

fn compare(
    args: &VerifyArgs,
    layout: &Layout<'_>,
    reader: Option<&dyn ImageReader>,
    begun: Instant,
) -> Result<Report, VerifyError> {
    let image = |source| VerifyError::Image {
        path: args.image.clone(),
        source,
    };
    let file = File::open(&args.image).map_err(image)?;
    let length = file.metadata().map_err(image)?.len();
    let meter = Arc::new(Meter::default());
    let progress = Progress::show(
        args.progress,
        Arc::clone(&meter),
        layout.manifest.image.planned_bytes,
        false,
    );
    let found = Check {
        file: &file,
        length,
        layout,
        memory: reader.map_or(Memory::InPlace, Memory::Read),
        // Without a sum over what is outside of chunks, only this covers all bytes.
        whole: layout.manifest.file.sha256.is_some()
            && (args.full || layout.manifest.file.sha256_outside.is_none()),
        further: args.full,
        workers: workers(args.threads),
        meter: &meter,
    }
    .run();
    progress.end();
    Ok(Report::new(layout, found?, begun.elapsed()))
}

/// The manifest beside `image`. A run that was killed between naming the two
/// leaves a manifest with its final name and an image without.
fn manifest_beside(image: &Path) -> PathBuf {
    let own = manifest_of(image);
    if !own.exists() && image.extension().is_some_and(|ending| ending == "partial") {
        let of_final = manifest_of(&image.with_extension(""));
        if of_final.exists() {
            return of_final;
        }
    }
    own
}
