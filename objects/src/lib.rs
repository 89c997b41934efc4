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
mod error;
mod gcp;
mod google;
mod host;
mod http;
mod patience;
mod plan;
mod put;
mod reading;
mod s3;
mod sums;
mod upload;

pub use address::{Location, LocationError};
pub use backend::Stored;
pub use error::StoreError;
pub use patience::Patience;
pub use upload::{PartSizes, StoredObject, Upload};

use address::Service;
use backend::Backend;
use http::Client;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use sums::Sums;
use url::Host;

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
    /// If the store does not take it.
    pub fn upload(
        &self,
        key: &str,
        bound: u64,
        part_bytes: Option<u64>,
    ) -> Result<Upload, StoreError> {
        let sizes = plan::sizes(self.backend.limits(), bound, part_bytes);
        Upload::begin(Arc::clone(&self.backend), key, sizes)
    }

    /// Stores all of `input`, which has `length` bytes, under `key`.
    ///
    /// # Errors
    /// If the store does not take it, or it cannot be read.
    pub fn store(&self, key: &str, input: &mut dyn Read, length: u64) -> Result<(), StoreError> {
        let failed = StoreError::machine("reading what is to be stored");
        if length <= MOST_WHOLE_BYTES || self.backend.limits().are_parts_objects {
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

/// The sum of the sums of parts, as [`Stored`] has it.
#[must_use]
pub fn sha256_of_parts(parts: &[[u8; 32]]) -> [u8; 32] {
    sums::sha256_of_parts(parts.iter())
}

/// The key of a part that is an object of its own, or of one of several objects.
#[must_use]
pub fn numbered_key(key: &str, number: u32) -> String {
    upload::numbered(key, number)
}
