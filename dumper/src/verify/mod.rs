// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump verify`: is an image still what its manifest says?

mod check;
mod layout;
mod report;

pub use check::CheckError;
pub use layout::LayoutError;
pub use report::{Damage, Report};

use crate::acquire::workers;
use crate::aff4;
use crate::args::VerifyArgs;
use crate::manifest::{self, ReadError};
use crate::naming::manifest_of;
use crate::progress::{Meter, Progress};
use layout::Layout;
use linpmem_formats::Aff4Error;
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

/// Compares the image of `args` with its manifest and says what differs. The
/// result is the exit code: 0 if nothing does, else 1.
///
/// # Errors
/// If the comparison could not be made.
pub fn verify(args: &VerifyArgs, out: &mut dyn Write) -> Result<u8, VerifyError> {
    let begun = Instant::now();
    let aff4 = aff4::opened(&args.image, &args.volume).map_err(|source| VerifyError::Aff4 {
        path: args.image.clone(),
        source,
    })?;
    if let Some(image) = aff4 {
        return aff4::verify(&image, out).map_err(VerifyError::Output);
    }
    let path = match &args.manifest {
        Some(path) => path.clone(),
        None => manifest_beside(&args.image),
    };
    let manifest = manifest::read(&path)?;
    let layout = Layout::new(&manifest).map_err(|source| VerifyError::Layout {
        path: path.clone(),
        source,
    })?;
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
        length.min(manifest.file.length),
        false,
    );
    let found = check::check(&file, length, &layout, workers(args.threads), &meter);
    progress.end();
    let report = Report::new(&layout, found?, begun.elapsed());
    report
        .write(&args.image, out)
        .map_err(VerifyError::Output)?;
    Ok(u8::from(!report.is_good()))
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
