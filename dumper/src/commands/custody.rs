// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump custody`: what happened to an image since it was acquired.

use super::vouched_manifest::{VouchedManifest, VouchedManifestError};
use crate::args::{CustodyAddArgs, CustodyShowArgs};
use crate::text::custody::{Acquisition, CustodyDocument, EventLine};
use linpmem_capture::clock::Moment;
use linpmem_capture::this_machine;
use linpmem_cli::ExitStatus;
use linpmem_custody::chain::{Chain, ChainError, Entry, add as add_entry};
use linpmem_custody::digest::sha256_of;
use linpmem_custody::record;
use linpmem_manifest::paths::custody_of;
use linpmem_manifest::{Sha256Sum, Tool};
use std::io;
use std::path::PathBuf;

/// Events that cannot be recorded or shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CustodyCommandError {
    /// There is no manifest to which they belong.
    #[error(transparent)]
    Manifest(#[from] VouchedManifestError),
    /// The manifest or this program cannot be hashed.
    #[error("{path}: {source}")]
    Hash {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The events cannot be read or written.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Records the event of `args`.
///
/// # Errors
/// If it cannot be written, or what was recorded so far is wrong.
pub fn add(args: &CustodyAddArgs) -> Result<CustodyDocument, CustodyCommandError> {
    let manifest = VouchedManifest::of(&args.image, args.manifest.as_deref())?;
    let sum = sum_of(&manifest)?;
    let tool = Tool {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sha256: Some(
            record::own_sha256().map_err(|source| CustodyCommandError::Hash {
                path: PathBuf::from("/proc/self/exe"),
                source,
            })?,
        ),
    };
    let entry = Entry {
        previous: sum,
        time: Moment::now().stamp().utc,
        event: args.event.clone(),
        operator: record::operator(args.operator.as_deref()),
        host: this_machine().hostname,
        tool,
    };
    let chain = add_entry(&custody_of(&manifest.path), sum, entry)?;
    Ok(document(&manifest, sum, Some((chain, None))))
}

/// Reads the events of the image of `args`.
///
/// # Errors
/// If they cannot be read. What is wrong with them is part of the document.
pub fn show(args: &CustodyShowArgs) -> Result<CustodyDocument, CustodyCommandError> {
    let manifest = VouchedManifest::of(&args.image, args.manifest.as_deref())?;
    let sum = sum_of(&manifest)?;
    let read = Chain::read(&custody_of(&manifest.path), sum)?;
    Ok(document(&manifest, sum, read))
}

fn sum_of(manifest: &VouchedManifest) -> Result<Sha256Sum, CustodyCommandError> {
    let sum = sha256_of(manifest.open()?);
    sum.map_err(|source| CustodyCommandError::Hash {
        path: manifest.path.clone(),
        source,
    })
}

fn document(
    manifest: &VouchedManifest,
    sum: Sha256Sum,
    read: Option<(Chain, Option<ChainError>)>,
) -> CustodyDocument {
    let file = read.is_some().then(|| custody_of(&manifest.path));
    let (chain, broken) = read.unwrap_or((
        Chain {
            entries: Vec::new(),
            head: sum,
        },
        None,
    ));
    CustodyDocument {
        manifest: manifest.path.to_string_lossy().into_owned(),
        manifest_sha256: sum,
        acquired: manifest.header.as_ref().map(Acquisition::of),
        file: file.map(|file| file.to_string_lossy().into_owned()),
        good: broken.is_none(),
        events: chain.entries.into_iter().map(EventLine::of).collect(),
        head_sha256: chain.head,
        reason: broken.map(|error| error.to_string()),
    }
}

impl CustodyDocument {
    /// What the exit code says: whether the events follow each other.
    #[must_use]
    pub const fn exit_status(&self) -> ExitStatus {
        match self.good {
            true => ExitStatus::Complete,
            false => ExitStatus::Failed,
        }
    }
}
