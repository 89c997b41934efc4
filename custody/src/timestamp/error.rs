// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with a timestamp.

use super::Nonce;
use linpmem_manifest::Sha256Sum;
use std::io;
use std::path::PathBuf;

/// A timestamp that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not DER, or not a timestamp.
    #[error("this is not {what} (RFC 3161): {source}")]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// What is wrong.
        source: der::Error,
    },
    /// The authority refused.
    #[error("the authority gave no timestamp, but the status {status}{text}")]
    Refused {
        /// Its status, in words.
        status: String,
        /// What it says about it.
        text: String,
    },
    /// It has parts that no timestamp may have, or lacks some.
    #[error("this is no valid timestamp: {0}")]
    Invalid(&'static str),
    /// It is about something else.
    #[error("the timestamp is of the SHA-256 {found}, and the manifest has {wanted}")]
    OtherManifest {
        /// What was stamped.
        found: Sha256Sum,
        /// What the manifest has.
        wanted: Sha256Sum,
    },
    /// It uses another hash.
    #[error("the timestamp is not of a SHA-256, but of a hash by the algorithm {0}")]
    OtherHash(String),
    /// It does not answer the request.
    #[error("the timestamp answers another request: it has {found}, not the nonce {wanted}")]
    OtherNonce {
        /// The nonce, in words.
        found: String,
        /// What was asked with.
        wanted: Nonce,
    },
    /// The signature was made in a way that is not supported.
    #[error("the timestamp is signed by the algorithm {0}, which is not supported")]
    UnknownAlgorithm(String),
    /// The signature does not match.
    #[error("the signature of the timestamp does not match: {0}")]
    WrongSignature(String),
    /// The certificate is not trusted.
    #[error("the certificate of the authority ({subject}) is not accepted: {reason}")]
    Untrusted {
        /// Whose certificate it is.
        subject: String,
        /// Why.
        reason: String,
    },
}

impl TimestampError {
    pub(super) fn malformed(what: &'static str) -> impl Fn(der::Error) -> Self {
        move |source| Self::Malformed { what, source }
    }
}
