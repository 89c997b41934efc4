// SPDX-License-Identifier: MIT OR Apache-2.0
//! The certificates of those whom the user trusts to vouch for authorities.

use crate::bounded;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::io;
use std::path::{Path, PathBuf};

/// All that a Linux distribution trusts is a quarter of it.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Certificates that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritiesError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It has no certificates, or something else too.
    #[error("{path} has no certificates in PEM (`-----BEGIN CERTIFICATE-----`): {reason}")]
    NotCertificates {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Certificates of certificate authorities.
#[derive(Clone, Debug)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads the certificates in the PEM file at `path`.
    ///
    /// # Errors
    /// If it has none.
    pub fn read(path: &Path) -> Result<Self, AuthoritiesError> {
        let bytes = bounded::read(path, MAX_FILE_BYTES);
        let bytes = bytes.map_err(|source| AuthoritiesError::File {
            path: path.to_path_buf(),
            source,
        })?;
        let not_certificates = |reason: String| AuthoritiesError::NotCertificates {
            path: path.to_path_buf(),
            reason,
        };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => {
                Err(not_certificates("there are none".to_owned()))
            }
            Ok(certificates) => Ok(Self(certificates)),
            Err(error) => Err(not_certificates(error.to_string())),
        }
    }

    /// The certificates, in DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }

    pub(super) fn der(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}
