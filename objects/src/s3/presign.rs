// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signing requests for somebody else.

use super::{NEW_ONLY, S3};
use crate::backend::Backend;
use crate::bundle::{Bundle, MOST_PARTS, Requests, Signature, Signed};
use crate::error::StoreError;
use jiff::Timestamp;
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, HeadObject, PutObject,
    S3Action, UploadPart,
};
use rusty_s3::{Bucket, Credentials, Method};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

const ACTION: &str = "signing requests";

/// What is signed.
#[derive(Clone, Debug)]
pub struct Presigning {
    /// The keys of what belongs to the image, each stored by one request.
    pub beside: Vec<String>,
    /// How large the image may be.
    pub bytes: u64,
    /// The size of its parts; by default one that fits.
    pub part_bytes: Option<u64>,
    /// For how long the signatures are good. S3 takes no more than seven days.
    pub expires_in: Duration,
}

/// Until when signatures are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// As long as was asked for.
    AsAsked,
    /// Their credentials end before.
    CredentialsEnd,
    /// Their credentials are temporary, and do not say until when.
    CredentialsMayEnd,
}

/// All requests of one upload are signed at one time, by the same credentials.
struct Signer<'a> {
    bucket: &'a Bucket,
    credentials: &'a Credentials,
    time: Timestamp,
    expires_in: Duration,
}

impl Signer<'_> {
    fn sign<'a>(
        &self,
        mut action: impl S3Action<'a>,
        is_new_only: bool,
    ) -> Result<Signed, StoreError> {
        if is_new_only {
            action.headers_mut().insert(NEW_ONLY.0, NEW_ONLY.1);
        }
        let url = action.sign_with_time(self.expires_in, &self.time);
        Signed::new(Zeroizing::new(String::from(url))).map_err(StoreError::machine_says(ACTION))
    }

    /// The address of the parts, and the signature of the part `number`, which counts from 1.
    fn part(&self, key: &str, id: &str, number: u16) -> Result<(Signed, Signature), StoreError> {
        let part = UploadPart::new(self.bucket, Some(self.credentials), key, number, id);
        let mut url = part.sign_with_time(self.expires_in, &self.time);
        let (common, signature) = split(&url);
        url.set_query(Some(&common));
        let common = Signed::of_parts(Zeroizing::new(String::from(url)));
        let signature = Signature::parse(&signature);
        let failed = StoreError::machine_says(ACTION);
        Ok((common.map_err(&failed)?, signature.map_err(failed)?))
    }
}

/// The query of a part's address without its number, and its signature.
fn split(url: &Url) -> (Zeroizing<String>, Zeroizing<String>) {
    let mut common = Zeroizing::new(String::new());
    let mut signature = Zeroizing::new(String::new());
    for pair in url.query().unwrap_or_default().split('&') {
        match pair.split_once('=') {
            Some(("X-Amz-Signature", value)) => value.clone_into(&mut signature),
            Some(("partNumber", _)) => {}
            _ => {
                if !common.is_empty() {
                    common.push('&');
                }
                common.push_str(pair);
            }
        }
    }
    (common, signature)
}

/// How many parts of `part_bytes` make an object of `bytes`.
fn parts(bytes: u64, part_bytes: u64) -> Result<u16, StoreError> {
    let parts = bytes.div_ceil(part_bytes.max(1)).max(1);
    let parts = u16::try_from(parts).ok();
    let parts = parts.filter(|&parts| usize::from(parts) <= MOST_PARTS);
    parts.ok_or_else(|| StoreError::TooManyParts {
        most: u32::try_from(MOST_PARTS).unwrap_or(u32::MAX),
        part_bytes,
    })
}

impl S3 {
    /// Begins to store `key`, and signs what goes on with it.
    ///
    /// # Errors
    /// If there is one, or the store does not begin it.
    pub(crate) fn presign(
        &self,
        key: &str,
        part_bytes: u64,
        wanted: &Presigning,
    ) -> Result<(Bundle, Expiry), StoreError> {
        parts(wanted.bytes, part_bytes)?;
        for taken in [key]
            .into_iter()
            .chain(wanted.beside.iter().map(String::as_str))
        {
            match self.head(taken) {
                Ok(Some(_)) => return Err(self.0.host.exists(&format!("asking for {taken}"))),
                Err(error @ StoreError::GaveUp { .. }) => return Err(error),
                // Who may write need not be allowed to look; the store refuses in the end then.
                Ok(None) | Err(_) => {}
            }
        }
        let id = self.create_without_sums(key)?;
        let made = self.sign_all(key, &id, part_bytes, wanted);
        if made.is_err() {
            let _ = self.abort(key, &id);
        }
        made
    }

    /// With a checksum, who stores the parts would have to send headers that are signed, before
    /// there is anything to sign.
    fn create_without_sums(&self, key: &str) -> Result<String, StoreError> {
        let action = format!("beginning {key}");
        let (answer, _) = self
            .0
            .send(&action, &[], &[], |bucket, credentials, time| {
                let create = CreateMultipartUpload::new(bucket, Some(credentials), key);
                (Method::Post, create.sign_with_time(super::SIGNED_FOR, time))
            })?;
        self.0.host.done(&action, &answer)?;
        let parsed = CreateMultipartUpload::parse_response(&answer.text())
            .map_err(|error| self.0.host.strange(&action, error))?;
        Ok(parsed.upload_id().to_owned())
    }

    fn sign_all(
        &self,
        key: &str,
        id: &str,
        part_bytes: u64,
        wanted: &Presigning,
    ) -> Result<(Bundle, Expiry), StoreError> {
        let (credentials, end) = self.0.credentials.now_and_end()?;
        let bucket = self.0.bucket.read().unwrap_or_else(PoisonError::into_inner);
        let signer = Signer {
            bucket: &bucket,
            credentials: &credentials,
            time: self.0.time(),
            expires_in: wanted.expires_in,
        };
        let mut signatures = Vec::new();
        let (common, _) = signer.part(key, id, 1)?;
        for number in 1..=parts(wanted.bytes, part_bytes)? {
            signatures.push(signer.part(key, id, number)?.1);
        }
        let (bucket, by) = (signer.bucket, Some(signer.credentials));
        let requests = |key: &str, is_whole: bool| -> Result<Requests, StoreError> {
            let put = is_whole.then(|| signer.sign(PutObject::new(bucket, by, key), true));
            Ok(Requests {
                head: signer.sign(HeadObject::new(bucket, by, key), false)?,
                put: put.transpose()?,
            })
        };
        let mut objects = BTreeMap::from([(key.to_owned(), requests(key, false)?)]);
        for key in &wanted.beside {
            objects.insert(key.clone(), requests(key, true)?);
        }
        let tags = std::iter::empty::<&str>();
        let complete = CompleteMultipartUpload::new(bucket, by, key, id, tags);
        let asked = signer
            .time
            .checked_add(wanted.expires_in)
            .map_err(StoreError::machine_says(ACTION))?;
        let (expires, until) = match end {
            Some(end) if end < asked => (end, Expiry::CredentialsEnd),
            None if credentials.token().is_some() => (asked, Expiry::CredentialsMayEnd),
            _ => (asked, Expiry::AsAsked),
        };
        let bundle = Bundle {
            bucket: self.0.name.clone(),
            key: key.to_owned(),
            expires,
            part_bytes,
            part: common,
            signatures,
            complete: signer.sign(complete, true)?,
            abort: signer.sign(AbortMultipartUpload::new(bucket, by, key, id), false)?,
            objects,
        };
        Ok((bundle, until))
    }
}
