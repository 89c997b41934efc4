// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands for `linpmem-remote`, which describes all of it, in a build that cannot send to a
//! receiver.

use bytes::Bytes;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an image that are on their way at most.
pub const MOST_QUEUED_BYTES: usize = 0;

/// Where an image can be sent. There is no such place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Infallible);

/// An address that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is that of a receiver.
    #[error("this build cannot send to a receiver: it was made without the Cargo feature `remote`")]
    NotBuilt,
    /// It is none.
    #[error("an address to send to begins with linpmem://, as `linpmem-dump receive` prints it")]
    Scheme,
}

/// The receiver's public key. There is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(Infallible);

/// An image on its way. There is none.
pub struct Sender(Infallible);

/// An image that could not be sent. None was tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sent")]
pub struct SendError(Infallible);

/// What happens when a connection breaks.
pub struct Patience {
    /// For how long it is tried again.
    pub give_up: Duration,
    /// Whether the user wants the run to end.
    pub is_hurried: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Is told how the line is.
    pub watch: Arc<dyn Fn(LineState) + Send + Sync>,
}

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineState {
    /// There is no connection.
    Broken,
}

/// One of the files that belong to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The image.
    Image,
    /// Its manifest.
    Manifest,
    /// The artifacts.
    Artifacts,
}

/// Which acquisition an image belongs to. There is none that is sent.
pub struct RunId(Infallible);

/// What a receiver is told of an image.
pub struct Hello {
    /// The acquisition.
    pub run: RunId,
    /// The name of the machine.
    pub host: String,
    /// When the acquisition began.
    pub started: String,
    /// The ending of the image's name.
    pub extension: String,
    /// Bytes of memory that will be read.
    pub planned_bytes: u64,
}

/// What there was in all.
pub struct Finish {
    /// Bytes of the image's file.
    pub image_bytes: u64,
    /// Bytes of the manifest.
    pub manifest_bytes: u64,
    /// Bytes of the file with the artifacts.
    pub artifacts_bytes: Option<u64>,
    /// Whether the image is whole.
    pub is_whole: bool,
    /// What is known of an encrypted image without a key.
    pub encryption: Option<String>,
}

/// What a receiver has. None has anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The SHA-256 of the image's file.
    pub image_sha256: String,
    /// The manifest's.
    pub manifest_sha256: String,
    /// Whether every sum was compared.
    pub is_verified: bool,
    /// When the receiver was done.
    pub received: String,
    never: Infallible,
}

impl Address {
    /// The key that the receiver has to have.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        match self.0 {}
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.trim().starts_with("linpmem://") {
            true => Err(AddressError::NotBuilt),
            false => Err(AddressError::Scheme),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl RunId {
    pub fn generate() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What a probe has found.
pub struct Probed {
    /// Bytes that arrived.
    pub bytes: u64,
    /// The time that they took.
    pub elapsed: Duration,
}

/// Measures the line to a receiver. There is none.
pub fn probe(address: &Address, _: Duration) -> Result<Probed, SendError> {
    match address.0 {}
}

impl Sender {
    pub fn connect(address: Address, _: Hello, _: Patience) -> Result<Self, SendError> {
        match address.0 {}
    }

    pub fn image(&self) -> &str {
        match self.0 {}
    }

    pub fn bytes(&self, _: Stream, _: &Bytes) -> Result<(), SendError> {
        match self.0 {}
    }

    pub fn zeros(&self, _: Stream, _: u64) -> Result<(), SendError> {
        match self.0 {}
    }

    pub fn drained(&self) -> Result<(), SendError> {
        match self.0 {}
    }

    pub fn finish(&self, _: &Finish) -> Result<(Receipt, ()), SendError> {
        match self.0 {}
    }
}
