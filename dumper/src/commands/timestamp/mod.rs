// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump timestamp`: an authority states when the manifest existed.

mod http;

pub use http::HttpError;

use super::vouched_manifest::{VouchedManifest, VouchedManifestError};
use crate::args::TimestampArgs;
use crate::text::timestamp::{StampedBy, TimestampDocument};
use linpmem_capture::sink::{PartialError, PartialFile};
use linpmem_custody::digest::sha256_of;
use linpmem_custody::timestamp::{
    Authorities, AuthoritiesError, MAX_REPLY_BYTES, MAX_REQUEST_BYTES, Nonce, Reply, Request,
    TimestampError,
};
use linpmem_manifest::Sha256Sum;
use linpmem_manifest::paths::timestamp_of;
use linpmem_phys::num::len_bytes;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A manifest that was not stamped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampCommandError {
    /// There is no manifest to stamp.
    #[error(transparent)]
    Manifest(#[from] VouchedManifestError),
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The certificates that are to be trusted cannot be read.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The authority cannot be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Its answer is not a timestamp of the manifest.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] PartialError),
}

/// Stamps the manifest of the image of `args`, or writes the request for that.
///
/// # Errors
/// If there is no answer, or not one about this manifest, or it cannot be written.
pub fn timestamp(args: &TimestampArgs) -> Result<TimestampDocument, TimestampCommandError> {
    let manifest = VouchedManifest::of(&args.image, args.manifest.as_deref())?;
    let sum = sha256_of(manifest.open()?).map_err(|source| TimestampCommandError::Io {
        path: manifest.path.clone(),
        source,
    })?;
    let trusted = args.tsa_ca.as_deref().map(Authorities::read).transpose()?;
    let mut document = TimestampDocument {
        manifest: manifest.path.to_string_lossy().into_owned(),
        sha256: sum,
        request: None,
        timestamp: None,
        stamped: None,
        openssl_command: None,
    };
    let (answer, nonce) = match (&args.tsa, &args.request, &args.reply) {
        (Some(url), _, _) => {
            let request = new_request(sum)?;
            let answer = http::ask(url, &request.to_der()?, args.ca.as_deref())?;
            (answer, request.nonce())
        }
        (None, Some(path), None) => {
            PartialFile::write(path, &new_request(sum)?.to_der()?, args.force)?;
            document.request = Some(path.to_string_lossy().into_owned());
            return Ok(document);
        }
        (None, request, Some(reply)) => {
            let request = request.as_deref().map(|path| read(path, MAX_REQUEST_BYTES));
            let request = request.transpose()?.map(|bytes| Request::parse(&bytes));
            let nonce = request.transpose()?.and_then(|request| request.nonce());
            (read(reply, MAX_REPLY_BYTES)?, nonce)
        }
        // The parser requires one of them.
        (None, None, None) => return Ok(document),
    };
    let stamped = check(&answer, sum, nonce.as_ref(), trusted.as_ref())?;
    let path = timestamp_of(&manifest.path);
    PartialFile::write(&path, &answer, args.force)?;
    document.timestamp = Some(path.to_string_lossy().into_owned());
    document.openssl_command = Some(TimestampDocument::openssl_command(&manifest.path, &path));
    document.stamped = Some(stamped);
    Ok(document)
}

/// Checks an answer before it is kept.
fn check(
    answer: &[u8],
    sum: Sha256Sum,
    nonce: Option<&Nonce>,
    trusted: Option<&Authorities>,
) -> Result<StampedBy, TimestampError> {
    let reply = Reply::parse(answer)?;
    reply.check_imprint(sum)?;
    nonce.map_or(Ok(()), |nonce| reply.check_nonce(nonce))?;
    let authority = trusted.map(|trusted| reply.verify(trusted)).transpose()?;
    Ok(StampedBy::of(&reply, authority.as_ref()))
}

fn new_request(sum: Sha256Sum) -> Result<Request, TimestampCommandError> {
    let mut random = [0; 16];
    let path = Path::new("/dev/urandom");
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut random))
        .map_err(|source| TimestampCommandError::Io {
            path: path.to_path_buf(),
            source,
        })?;
    Ok(Request::new(sum, random)?)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, TimestampCommandError> {
    let failed = |source| TimestampCommandError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match len_bytes(&bytes) > limit {
        true => Err(failed(io::ErrorKind::FileTooLarge.into())),
        false => Ok(bytes),
    }
}
