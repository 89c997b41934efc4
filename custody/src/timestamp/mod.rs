// SPDX-License-Identifier: MIT OR Apache-2.0
//! Timestamps of manifests (RFC 3161): an authority says that a SHA-256 existed at some time.
//!
//! What a [`Reply`] says is read from DER by the structures of RustCrypto; [`Reply::verify`]
//! lets rustls-webpki and ring check the signature and the certificates.

mod authorities;
mod error;
mod gen_time;
mod reply;
mod request;
mod signed_attributes;
mod tst_info;
mod verify;

pub use authorities::{Authorities, AuthoritiesError};
pub use error::TimestampError;
pub use reply::{MAX_REPLY_BYTES, Reply};
pub use request::{MAX_REQUEST_BYTES, Nonce, Request};
pub use verify::Authority;
