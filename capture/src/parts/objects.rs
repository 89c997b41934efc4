// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands for `linpmem-objects`, which describes all of it, in a build without stores.

#![expect(dead_code, reason = "what nobody has is never read")]

use std::convert::Infallible;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// A place in a store. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location(Infallible);

/// Requests that were signed for others. There are none.
#[derive(Debug)]
pub struct Bundle;

/// A store that can be used. There is none.
#[derive(Clone)]
pub struct Objects(Infallible);

/// An image that is being stored. There is none.
pub struct Upload(Infallible);

/// What a store says of an object. None says anything.
pub struct Stored {
    /// Bytes.
    pub length: u64,
    never: Infallible,
}

/// An object that a store has. None has any.
pub struct StoredObject {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub length: u64,
    /// Bytes of each part but the last.
    pub part_bytes: u64,
    /// The SHA-256 of each part.
    pub sha256: Vec<[u8; 32]>,
    /// Whether each part is an object of its own.
    pub are_parts_objects: bool,
    never: Infallible,
}

/// What happens when a store fails.
#[derive(Clone)]
pub struct Patience {
    /// For how long a request is tried again.
    pub give_up: Duration,
    /// Whether the user wants the run to end.
    pub is_hurried: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Is told whether requests fail.
    pub watch: Arc<dyn Fn(bool) + Send + Sync>,
}

/// There are no stores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this build knows no object stores: it was made without the Cargo feature `stores`")]
pub struct NoStores;

pub use NoStores as BundleError;
pub use NoStores as LocationError;

/// What nobody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Never(Infallible);

/// What a store did not do. None was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It says no.
    #[error("{status}")]
    Refused {
        /// The status.
        status: String,
        /// What no store says.
        never: Never,
    },
    /// It did not answer.
    #[error("no answer")]
    GaveUp {
        /// What no store says.
        never: Never,
    },
}

impl Location {
    /// Whether `text` begins as the address of a store does.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        ["s3://", "gs://", "https://", "http://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    }

    /// Says that there are no stores.
    ///
    /// # Errors
    /// Always.
    pub const fn of_bundle(_: &str) -> Result<Self, BundleError> {
        Err(NoStores)
    }

    /// Whether it was a bundle.
    #[must_use]
    pub const fn is_bundle(&self) -> bool {
        match self.0 {}
    }

    /// The key of an image.
    #[must_use]
    pub fn key(&self, _: &str) -> String {
        match self.0 {}
    }

    /// The name of the store in messages.
    #[must_use]
    pub fn host(&self) -> String {
        match self.0 {}
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(_: &str) -> Result<Self, LocationError> {
        Err(NoStores)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl Bundle {
    /// Whether a file that begins so can be one: no address does.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.trim_start().starts_with('{')
    }

    /// More than a bundle ever has.
    #[must_use]
    pub const fn most_bytes() -> u64 {
        (4 << 20) + 1
    }
}

impl Patience {
    pub fn quiet(give_up: Duration) -> Self {
        Self {
            give_up,
            is_hurried: Arc::new(|| false),
            watch: Arc::new(|_| {}),
        }
    }
}

impl Objects {
    pub fn open(location: Location, _: Option<&Path>, _: Patience) -> Result<Self, StoreError> {
        match location.0 {}
    }

    pub const fn location(&self) -> &Location {
        match self.0 {}
    }

    pub const fn is_readable_on_the_way(&self) -> bool {
        match self.0 {}
    }

    pub fn upload(&self, _: &str, _: u64, _: Option<u64>) -> Result<Upload, StoreError> {
        match self.0 {}
    }

    pub fn store(&self, _: &str, _: &mut dyn Read, _: u64) -> Result<(), StoreError> {
        match self.0 {}
    }

    pub fn head(&self, _: &str) -> Result<Option<Stored>, StoreError> {
        match self.0 {}
    }

    pub fn read(&self, _: &str, _: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.0 {}
    }
}

impl Upload {
    pub fn bytes(&mut self, _: &[u8]) -> Result<(), StoreError> {
        match self.0 {}
    }

    pub fn zeros(&mut self, _: u64) -> Result<(), StoreError> {
        match self.0 {}
    }

    pub fn drain(&mut self) -> Result<(), StoreError> {
        match self.0 {}
    }

    pub fn complete(&self) -> Result<(), StoreError> {
        match self.0 {}
    }

    pub fn abort(&mut self) -> Vec<String> {
        match self.0 {}
    }

    pub fn objects(&self) -> Vec<StoredObject> {
        match self.0 {}
    }

    pub fn leftovers(&self) -> Vec<String> {
        match self.0 {}
    }
}

impl Stored {
    pub const fn has_parts(&self, _: &[[u8; 32]]) -> Option<bool> {
        match self.never {}
    }
}

/// The key of one of several objects.
#[must_use]
pub fn numbered_key(key: &str, number: u32) -> String {
    format!("{key}.{number:0>5}")
}
