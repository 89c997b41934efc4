// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump index`: the images in a store.

use crate::args::{IndexArgs, UsageError, stored_at};
use crate::text::index::{IndexDocument, IndexedImage};
use linpmem_capture::{Arrival, StoreError, StoreSpec, images_in_store};
use std::ffi::OsStr;
use std::time::Duration;

/// How long a store is waited for.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Images that cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The address of a store is wrong, or cannot be read.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// It is none.
    #[error(
        "an index is that of a store: s3://BUCKET/FOLDER/, gs://BUCKET/FOLDER/, or an Azure container with its SAS"
    )]
    NoStore,
    /// The store does not say.
    #[error(transparent)]
    Store(Box<StoreError>),
}

/// Lists the images in the store of `args`.
///
/// # Errors
/// If the store does not say.
pub fn index(args: &IndexArgs) -> Result<IndexDocument, IndexError> {
    let location = stored_at(OsStr::new(&args.address))?;
    let location = location.ok_or(IndexError::NoStore)?;
    let place = location.to_string();
    let spec = StoreSpec {
        location,
        ca: args.ca.clone(),
        give_up: GIVE_UP,
        part_bytes: None,
    };
    let images = images_in_store(&spec).map_err(|error| IndexError::Store(Box::new(error)))?;
    let images = images.into_iter().map(|image| IndexedImage {
        name: image.key,
        size_bytes: image.bytes,
        state: match image.arrival {
            Arrival::Complete => "complete",
            Arrival::Partial => "partial",
            Arrival::Open => "open",
        },
    });
    Ok(IndexDocument {
        place,
        images: images.collect(),
    })
}
