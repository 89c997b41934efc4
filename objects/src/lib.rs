// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image on its way to an object store.
//!
//! An [`Upload`] takes an image as it is read, and sends it in parts: a part stays in memory until
//! the store has it, and each has a SHA-256 that the store compares where it can. What prevents a
//! request is waited for as long as [`Patience`] says. Nothing that a store has is ever replaced.
//! Knows nothing of images, and keeps no files. docs/stores.md says what users see of it.

#![forbid(unsafe_code)]

mod address;
mod aws;
mod azure;
mod backend;
mod bundle;
mod error;
mod gcp;
mod google;
mod host;
mod http;
mod patience;
mod plain_host;
mod plan;
mod presigned;
mod put;
mod reading;
mod s3;
mod sums;
mod upload;

pub use address::{Location, LocationError};
pub use backend::Stored;
pub use bundle::{Bundle, BundleError};
pub use error::StoreError;
pub use patience::Patience;
pub use s3::{Expiry, Presigning};
pub use upload::{PartSizes, StoredObject, Upload};

use address::Service;
use backend::Backend;
use http::Client;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use sums::Sums;
use url::Host;
use zeroize::Zeroizing;

/// The largest object that is stored by one request.
const MOST_WHOLE_BYTES: u64 = 8 << 20;

/// A store that can be used.
#[derive(Clone)]
pub struct Objects {
    backend: Arc<dyn Backend>,
    location: Location,
}

impl Objects {
    /// Opens the store at `location`. HTTPS trusts Mozilla's roots, or those in the file `ca`.
    ///
    /// # Errors
    /// If there are no credentials for it. The store itself is not asked.
    pub fn open(
        location: Location,
        ca: Option<&Path>,
        patience: Patience,
    ) -> Result<Self, StoreError> {
        let client = Client::new(ca, patience)?;
        let backend: Arc<dyn Backend> = match &location.service {
            Service::S3 { bucket } => Arc::new(s3::S3::open(bucket, client)?),
            Service::Presigned(bundle) => Arc::new(presigned::Presigned::open(bundle, client)?),
            Service::Put {
                server,
                authorization,
            } => Arc::new(put::Put::open(server, authorization.as_ref(), client)),
            Service::Google { bucket } => Arc::new(google::Google::open(bucket, client)?),
            Service::Azure {
                container,
                signature,
            } => Arc::new(azure::Azure::open(container, signature, client)),
        };
        Ok(Self { backend, location })
    }

    /// The place that was opened.
    #[must_use]
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// Whether everybody on the way can read what is sent: HTTP, to another machine.
    #[must_use]
    pub fn is_readable_on_the_way(&self) -> bool {
        let base = self.backend.base();
        let is_local = match base.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        base.scheme() == "http" && !is_local
    }

    /// Begins to store an image of at most `bound` bytes, as far as is known, in parts of
    /// `part_bytes` or of a size that fits. It has a name, or several with numbers, when it is
    /// complete.
    ///
    /// # Errors
    /// If the store does not take it, or has no room for so many bytes.
    pub fn upload(
        &self,
        key: &str,
        bound: u64,
        part_bytes: Option<u64>,
    ) -> Result<Upload, StoreError> {
        let limits = self.backend.limits();
        if let Some(most) = limits.most_image_bytes().filter(|&most| most < bound) {
            return Err(StoreError::TooLarge { bytes: bound, most });
        }
        let sizes = plan::sizes(limits, bound, part_bytes);
        Upload::begin(Arc::clone(&self.backend), key, sizes)
    }

    /// Stores all of `input`, which has `length` bytes, under `key`.
    ///
    /// # Errors
    /// If the store does not take it, or it cannot be read.
    pub fn store(&self, key: &str, input: &mut dyn Read, length: u64) -> Result<(), StoreError> {
        let failed = StoreError::machine("reading what is to be stored");
        let limits = self.backend.limits();
        let is_whole = limits.are_parts_objects || limits.fixed_part_bytes.is_some();
        if length <= MOST_WHOLE_BYTES || is_whole {
            let mut bytes = Vec::new();
            input.read_to_end(&mut bytes).map_err(failed)?;
            return self.backend.put(key, &bytes, &Sums::of(&bytes));
        }
        let mut upload = self.upload(key, length, None)?;
        let mut piece = vec![0; 1 << 20];
        let sent = loop {
            match input.read(&mut piece) {
                Ok(0) => break upload.drain().and_then(|()| upload.complete()),
                Ok(count) => {
                    let read = piece.get(..count).unwrap_or_default();
                    if let Err(error) = upload.bytes(read) {
                        break Err(error);
                    }
                }
                Err(error) => break Err(failed(error)),
            }
        };
        if sent.is_err() {
            upload.abort();
        }
        sent
    }

    /// What the store says of an object; `None` if it has none.
    ///
    /// # Errors
    /// If it does not say.
    pub fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.backend.head(key)
    }

    /// Reads an object from its byte `from` on.
    ///
    /// # Errors
    /// If the store does not have it, or does not say.
    pub fn read(&self, key: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        self.backend.get(key, from)
    }

    /// The keys that begin with `prefix`, in their order, each with its length.
    ///
    /// # Errors
    /// If the store does not say.
    pub fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        self.backend.list(prefix)
    }
}

/// A bundle, and what has to be known about it.
pub struct SignedBundle {
    /// The text of its file. It is a secret.
    pub text: Zeroizing<String>,
    /// Until when it is good, in RFC 3339.
    pub expires: String,
    /// Why then.
    pub until: Expiry,
    /// Bytes of each part but the last.
    pub part_bytes: u64,
    /// How many parts an image can have.
    pub parts: u32,
    /// The command that removes the upload, if the bundle is not used.
    pub removal: String,
}

/// Begins an upload to `location`, and signs all requests that go on with it.
///
/// # Errors
/// If the location is no name of an image in S3, or has one, or the store refuses.
pub fn presign(
    location: &Location,
    ca: Option<&Path>,
    patience: Patience,
    wanted: &Presigning,
) -> Result<SignedBundle, StoreError> {
    const ACTION: &str = "signing requests";
    let wrong = |reason: &str| StoreError::Machine {
        action: ACTION,
        reason: reason.to_owned(),
    };
    let Service::S3 { bucket } = &location.service else {
        return Err(wrong("only for s3://BUCKET/FOLDER/NAME"));
    };
    if !location.is_image() {
        return Err(wrong("a folder, and no image"));
    }
    let most_parts = u64::try_from(bundle::MOST_PARTS).unwrap_or(u64::MAX);
    let default = plan::fixed(wanted.bytes, most_parts);
    let part_bytes = wanted.part_bytes.unwrap_or(default);
    let store = s3::S3::open(bucket, Client::new(ca, patience)?)?;
    let key = location.key("");
    let (bundle, until) = store.presign(&key, part_bytes, wanted)?;
    let id = bundle.upload_id().unwrap_or_default();
    Ok(SignedBundle {
        text: bundle.to_json().map_err(StoreError::machine_says(ACTION))?,
        expires: format!("{:.0}", bundle.expires),
        until,
        part_bytes,
        parts: bundle.parts(),
        removal: s3::removal(bucket, &key, &id),
    })
}

/// The key of a part that is an object of its own, or of one of several objects.
#[must_use]
pub fn numbered_key(key: &str, number: u32) -> String {
    upload::numbered(key, number)
}

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
