// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(not(feature = "age"))]
mod absent;
mod detect;
mod error;
mod layout;

#[cfg(feature = "age")]
mod encrypted;
#[cfg(feature = "age")]
mod encryption;
#[cfg(feature = "age")]
mod header;
#[cfg(feature = "age")]
mod identity;
#[cfg(feature = "age")]
mod key_file;
#[cfg(feature = "age")]
mod recipient;

#[cfg(not(feature = "age"))]
pub use absent::{EncryptedFile, Encryption, Identities, Recipients};
pub use detect::{DETECT_BYTES, Detected, detect};
#[cfg(feature = "age")]
pub use encrypted::EncryptedFile;
#[cfg(feature = "age")]
pub use encryption::Encryption;
pub use error::{DamagedChunk, IdentityError, OpenError, RecipientError};
#[cfg(feature = "age")]
pub use identity::Identities;
pub use layout::{CHUNK_BYTES, MAX_HEADER_BYTES, MAX_RECIPIENTS, encrypted_len};
#[cfg(feature = "age")]
pub use recipient::Recipients;
