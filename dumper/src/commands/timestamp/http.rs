// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to an authority: RFC 3161, section 3.4.

use linpmem_custody::timestamp::{Authorities, AuthoritiesError, MAX_REPLY_BYTES};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// From the first byte that is sent to the last that is received.
const PATIENCE: Duration = Duration::from_secs(60);

/// An authority that could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The certificates for HTTPS cannot be read.
    #[error(transparent)]
    Certificates(#[from] AuthoritiesError),
    /// The system has none.
    #[error(
        "the system's certificates cannot be read, which HTTPS needs ({0}): name a file that has \
         some with --ca, or use HTTP, as the timestamp itself is signed"
    )]
    NoCertificates(String),
    /// The authority did not answer, or not with a timestamp.
    #[error("asking {url}: {source}")]
    Request {
        /// Its address.
        url: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// Something else answered.
    #[error(
        "{url} answered with {found}, and an authority for timestamps answers with \
         application/timestamp-reply: check the address"
    )]
    OtherContent {
        /// The address.
        url: String,
        /// The type of content.
        found: String,
    },
}

/// The answer of the authority at `url` to `request`. `ca` has the certificates to trust, if
/// they are not the system's.
///
/// # Errors
/// If there is none, or if it is too long.
pub fn ask(url: &str, request: &[u8], ca: Option<&Path>) -> Result<Vec<u8>, HttpError> {
    let failed = |source: ureq::Error| HttpError::Request {
        url: url.to_owned(),
        source: Box::new(source),
    };
    let is_https = url
        .get(..6)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    let roots = match (ca, is_https) {
        (Some(path), _) => named(path)?,
        (None, true) => system()?,
        (None, false) => Vec::new(),
    };
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    // A redirected request would become another one.
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .tls_config(tls)
        .build()
        .new_agent();
    let mut answer = agent
        .post(url)
        .header("Content-Type", "application/timestamp-query")
        .header("Accept", "application/timestamp-reply")
        .send(request)
        .map_err(failed)?;
    let body = answer.body_mut();
    let found = body.mime_type().unwrap_or("nothing").to_owned();
    if found != "application/timestamp-reply" {
        let url = url.to_owned();
        return Err(HttpError::OtherContent { url, found });
    }
    body.with_config()
        .limit(MAX_REPLY_BYTES)
        .read_to_vec()
        .map_err(failed)
}

fn named(path: &Path) -> Result<Vec<Certificate<'static>>, HttpError> {
    let certificates = Authorities::read(path)?;
    let owned = |der| Certificate::from_der(der).to_owned();
    Ok(certificates.certificates().map(owned).collect())
}

fn system() -> Result<Vec<Certificate<'static>>, HttpError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(HttpError::NoCertificates(errors.join("; ")));
    }
    let owned = |der: &[u8]| Certificate::from_der(der).to_owned();
    Ok(found.certs.iter().map(|der| owned(der)).collect())
}
