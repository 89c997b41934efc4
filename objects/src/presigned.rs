// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store that takes one image by requests that somebody else has signed.
//!
//! Only what was signed can be asked, once and by whoever has the bundle; headers that begin with
//! `x-amz-` would have to be signed too, so that parts have an MD5 alone.

use crate::backend::{Backend, Kept, Limits, Part, Parts, Stored};
use crate::bundle::{Bundle, Requests};
use crate::error::StoreError;
use crate::host::Host;
use crate::http::{Answer, Client, code_and_message};
use crate::s3::{Doubts, NEW_ONLY, PartSum, complete_body, leftover};
use crate::sums::Sums;
use jiff::Timestamp;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use url::Url;

/// What is stored as the last part, to know that the bundle is good before memory is read. The
/// image's own last part replaces it, and it is no part of a smaller image.
const TRIAL: &[u8] = b"linpmem";

/// A bundle, and the store that it is for.
pub(crate) struct Presigned(Arc<Shared>);

struct Shared {
    host: Host,
    base: Url,
    bundle: Arc<Bundle>,
}

/// The upload of the bundle.
struct Upload {
    shared: Arc<Shared>,
    /// Whether a part of the image may be there.
    is_used: AtomicBool,
}

impl Presigned {
    /// Uses `bundle`.
    ///
    /// # Errors
    /// Never, as bundles are checked.
    pub(crate) fn open(bundle: &Arc<Bundle>, client: Client) -> Result<Self, StoreError> {
        let base = bundle.part.origin().ok_or(StoreError::Ended)?;
        Ok(Self(Arc::new(Shared {
            host: Host::of(&base, client),
            base,
            bundle: Arc::clone(bundle),
        })))
    }
}

impl Shared {
    fn send(
        &self,
        action: &str,
        (method, url): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
        repeat: impl FnMut(&Answer) -> bool,
    ) -> Result<(Answer, bool), StoreError> {
        let request = || {
            let builder = ureq::http::Request::builder().method(method).uri(url);
            self.host.request(builder, headers)
        };
        self.host.send(action, body, request, repeat)
    }

    fn requests(&self, key: &str) -> Option<&Requests> {
        self.bundle.objects.get(key)
    }

    fn done(&self, action: &str, answer: &Answer) -> Result<(), StoreError> {
        match answer.is_success() {
            true => Ok(()),
            false => Err(self.refused(action, answer)),
        }
    }

    /// The refusal that `answer` is, and what can be done without credentials.
    fn refused(&self, action: &str, answer: &Answer) -> StoreError {
        let mut refused = self.host.refused(action, answer);
        let has_expired = self.bundle.expires <= Timestamp::now();
        let (code, said) = code_and_message(answer);
        let code = code.unwrap_or_default();
        if let StoreError::Refused { hint, message, .. } = &mut refused {
            *hint = match answer.status {
                400 | 403 if code == "ExpiredToken" => {
                    "; the credentials that have signed the bundle have ended: make a new one"
                }
                401 | 403 if has_expired || said.contains("expired") => {
                    "; the bundle has expired: make a new one with `linpmem-dump presign`"
                }
                401 | 403 => {
                    "; the bundle was changed or used already, or who has made it may do this no \
                     more: make a new one with `linpmem-dump presign`"
                }
                404 => "; the bundle was used already, or its upload was removed: make a new one",
                409 | 412 => {
                    "; there is something with this name, which a bundle cannot replace: make a new \
                     one for another name"
                }
                _ => hint,
            };
            if matches!(answer.status, 401 | 403) {
                let expires = self.bundle.expires;
                let before = match message.is_empty() {
                    true => "",
                    false => "; ",
                };
                message.push_str(&format!("{before}signed until {expires:.0}"));
            }
        }
        refused
    }

    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let Some(requests) = self.requests(key) else {
            return Ok(None);
        };
        let action = format!("asking for {key}");
        let asked = ("HEAD", requests.head.as_str());
        let (answer, _) = self.send(&action, asked, &[], &[], |_| false)?;
        match answer.status {
            // Who may write need not be allowed to look, nor who has signed it.
            401 | 403 | 404 | 405 => return Ok(None),
            _ => self.done(&action, &answer)?,
        }
        Ok(answer.length().map(|length| Stored {
            length,
            sha256_of_parts: None,
        }))
    }

    /// Whether the object of the store has `length` bytes, if it is there.
    fn is_ours(&self, key: &str, length: u64) -> Option<bool> {
        Some(self.head(key).ok()??.length == length)
    }

    /// Stores the part `number`, which counts from 0, and returns the store's tag of it.
    fn part(&self, number: u32, bytes: &[u8], sums: &Sums) -> Result<String, StoreError> {
        let action = format!("storing part {} of {}", number + 1, self.bundle.key);
        let most = self.bundle.most_image_bytes();
        let url = self.bundle.part(number).ok_or(StoreError::TooLarge {
            bytes: most.saturating_add(1),
            most,
        })?;
        let md5 = sums.md5_base64();
        let headers = [("content-md5", md5.as_str())];
        let mut doubts = Doubts::of(sums);
        let asked = ("PUT", url.as_str());
        let repeat = |answer: &Answer| doubts.wants_it_again(answer);
        let (answer, _) = self.send(&action, asked, &headers, bytes, repeat)?;
        self.done(&action, &answer)?;
        let tag = answer.header("etag").map(ToOwned::to_owned);
        tag.ok_or_else(|| self.host.strange(&action, "the part has no ETag"))
    }
}

impl Backend for Presigned {
    fn base(&self) -> Url {
        self.0.base.clone()
    }

    fn limits(&self) -> Limits {
        Limits {
            most_parts: self.0.bundle.parts(),
            granule: 1,
            is_sequential: false,
            are_parts_objects: false,
            fixed_part_bytes: Some(self.0.bundle.part_bytes),
        }
    }

    fn begin(&self, key: &str) -> Result<Box<dyn Parts>, StoreError> {
        if key != self.0.bundle.key {
            return Err(not_signed(key));
        }
        let last = self.0.bundle.parts().saturating_sub(1);
        self.0.part(last, TRIAL, &Sums::of(TRIAL))?;
        Ok(Box::new(Upload {
            shared: Arc::clone(&self.0),
            is_used: AtomicBool::new(false),
        }))
    }

    fn put(&self, key: &str, bytes: &[u8], sums: &Sums) -> Result<(), StoreError> {
        let action = format!("storing {key}");
        let put = self
            .0
            .requests(key)
            .and_then(|requests| requests.put.as_ref());
        let put = put.ok_or_else(|| not_signed(key))?;
        let md5 = sums.md5_base64();
        let headers = [("content-md5", md5.as_str()), NEW_ONLY];
        let asked = ("PUT", put.as_str());
        let (answer, is_repeated) = self.0.send(&action, asked, &headers, bytes, |_| false)?;
        // An earlier attempt arrived, and its answer did not.
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let is_ours = || self.0.is_ours(key, length);
        if answer.is_taken() && is_repeated && self.0.host.has_arrived(is_ours) {
            return Ok(());
        }
        self.0.done(&action, &answer)
    }

    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.0.head(key)
    }

    fn get(&self, key: &str, _: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        Err(not_signed(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        Err(not_signed(prefix))
    }
}

/// Nobody has signed this.
fn not_signed(key: &str) -> StoreError {
    StoreError::Machine {
        action: "asking with a bundle",
        reason: format!(
            "nothing was signed for {key}: a bundle stores one image, and reads nothing"
        ),
    }
}

impl Parts for Upload {
    fn part(&self, part: &Part<'_>) -> Result<Kept, StoreError> {
        self.is_used.store(true, Ordering::Relaxed);
        Ok(Kept {
            length: u64::try_from(part.bytes.len()).unwrap_or(u64::MAX),
            sha256: part.sums.sha256,
            tag: self.shared.part(part.number, part.bytes, part.sums)?,
        })
    }

    fn complete(&self, parts: &[Kept]) -> Result<(), StoreError> {
        let bundle = &self.shared.bundle;
        let action = format!("completing {}", bundle.key);
        let body = complete_body(parts, PartSum::Untold);
        let headers = [("content-type", "application/xml"), NEW_ONLY];
        let asked = ("POST", bundle.complete.as_str());
        let body = body.as_bytes();
        let (answer, is_repeated) = self
            .shared
            .send(&action, asked, &headers, body, |_| false)?;
        let code = code_and_message(&answer).0;
        // Joining takes a while, and the status has to be sent before it is done.
        if answer.is_success() && code.is_none() {
            return Ok(());
        }
        let length = parts.iter().map(|part| part.length).sum::<u64>();
        // An earlier attempt arrived, and its answer did not.
        let is_ours = || self.shared.is_ours(&bundle.key, length);
        if is_repeated && self.shared.host.has_arrived(is_ours) {
            return Ok(());
        }
        Err(self.shared.refused(&action, &answer))
    }

    /// A bundle whose image was not begun can still be used.
    fn abort(&self) -> Result<(), StoreError> {
        if !self.is_used.load(Ordering::Relaxed) {
            return Ok(());
        }
        let action = format!("removing the parts of {}", self.shared.bundle.key);
        let asked = ("DELETE", self.shared.bundle.abort.as_str());
        let (answer, _) = self.shared.send(&action, asked, &[], &[], |_| false)?;
        match answer.status {
            404 => Ok(()),
            _ => self.shared.done(&action, &answer),
        }
    }

    fn leftover(&self) -> Option<String> {
        let bundle = &self.shared.bundle;
        let id = bundle.upload_id()?;
        Some(leftover(&bundle.bucket, &bundle.key, &id))
    }
}

#[cfg(test)]
mod tests;
