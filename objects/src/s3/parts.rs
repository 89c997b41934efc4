// SPDX-License-Identifier: MIT OR Apache-2.0
//! An upload in parts.

use super::{CHECKSUM, NEW_ONLY, SIGNED_FOR, Shared};
use crate::backend::{Kept, Part, Parts};
use crate::error::StoreError;
use crate::http::{Answer, code_and_message};
use crate::sums::Sums;
use data_encoding::{BASE64, HEXLOWER};
use rusty_s3::Method;
use rusty_s3::actions::{AbortMultipartUpload, CompleteMultipartUpload, S3Action, UploadPart};
use std::fmt::Write;
use std::sync::Arc;

/// How often a part is sent to a store whose sum of it is another one: then the sum is of
/// something else, such as what it has encrypted.
const MOST_DOUBTS: u32 = 4;

/// An upload in parts.
pub(super) struct Upload {
    pub(super) shared: Arc<Shared>,
    pub(super) key: String,
    pub(super) id: String,
}

impl Parts for Upload {
    fn part(&self, part: &Part<'_>) -> Result<Kept, StoreError> {
        let action = format!("storing part {} of {}", part.number + 1, self.key);
        let number = u16::try_from(part.number + 1).map_err(|_| {
            self.shared
                .host
                .strange(&action, "there are too many parts")
        })?;
        let sum = part.sums.sha256_base64();
        let md5 = part.sums.md5_base64();
        let headers = [(CHECKSUM, sum.as_str()), ("content-md5", md5.as_str())];
        let mut doubts = Doubts::of(part.sums);
        let (answer, _) = self.shared.send_until(
            &action,
            part.bytes,
            &headers,
            &mut |answer| doubts.wants_it_again(answer),
            |bucket, credentials, time| {
                let (key, id) = (self.key.as_str(), self.id.as_str());
                let mut upload = UploadPart::new(bucket, Some(credentials), key, number, id);
                upload.headers_mut().insert(CHECKSUM, sum.clone());
                (Method::Put, upload.sign_with_time(SIGNED_FOR, time))
            },
        )?;
        self.shared.host.done(&action, &answer)?;
        let tag = answer.header("etag").map(ToOwned::to_owned);
        Ok(Kept {
            length: u64::try_from(part.bytes.len()).unwrap_or(u64::MAX),
            sha256: part.sums.sha256,
            tag: tag.ok_or_else(|| self.shared.host.strange(&action, "the part has no ETag"))?,
        })
    }

    fn complete(&self, parts: &[Kept]) -> Result<(), StoreError> {
        let action = format!("completing {}", self.key);
        let body = complete_body(parts, PartSum::Told);
        let headers = [("content-type", "application/xml"), NEW_ONLY];
        let (answer, is_repeated) = self.shared.send(
            &action,
            body.as_bytes(),
            &headers,
            |bucket, credentials, time| {
                let tags = std::iter::empty::<&str>();
                let (key, id) = (self.key.as_str(), self.id.as_str());
                let complete =
                    CompleteMultipartUpload::new(bucket, Some(credentials), key, id, tags);
                (Method::Post, complete.sign_with_time(SIGNED_FOR, time))
            },
        )?;
        let code = code_and_message(&answer).0;
        // Joining takes a while, and the status has to be sent before it is done.
        if answer.is_success() && code.is_none() {
            return Ok(());
        }
        let length = parts.iter().map(|part| part.length).sum::<u64>();
        // An earlier attempt arrived, and its answer did not: then there is no upload any more,
        // which stores say in several ways, some of them before the object is there.
        let is_ours = || self.shared.is_ours(&self.key, length, parts);
        if is_repeated && self.shared.host.has_arrived(is_ours) {
            return Ok(());
        }
        Err(self.shared.host.refused(&action, &answer))
    }

    fn abort(&self) -> Result<(), StoreError> {
        let action = format!("removing the parts of {}", self.key);
        let (answer, _) = self
            .shared
            .send(&action, &[], &[], |bucket, credentials, time| {
                let (key, id) = (self.key.as_str(), self.id.as_str());
                let abort = AbortMultipartUpload::new(bucket, Some(credentials), key, id);
                (Method::Delete, abort.sign_with_time(SIGNED_FOR, time))
            })?;
        match answer.status {
            404 => Ok(()),
            _ => self.shared.host.done(&action, &answer),
        }
    }

    fn leftover(&self) -> Option<String> {
        Some(leftover(&self.shared.name, &self.key, &self.id))
    }
}

/// What is to be done about an upload that was not completed.
pub(crate) fn leftover(bucket: &str, key: &str, id: &str) -> String {
    let command = removal(bucket, key, id);
    format!("the store keeps parts of {key} that cost until they are removed: {command}")
}

/// The command that removes an upload.
pub(crate) fn removal(bucket: &str, key: &str, id: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    format!(
        "aws s3api abort-multipart-upload --bucket {bucket} --key {} --upload-id {}",
        quoted(key),
        quoted(id)
    )
}

/// Whether the store was told of the parts' SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartSum {
    /// Then it wants to hear them again.
    Told,
    /// Then it has none to compare them with.
    Untold,
}

/// How often a store had another sum of a part.
pub(crate) struct Doubts<'a> {
    sums: &'a Sums,
    count: u32,
}

impl<'a> Doubts<'a> {
    /// None yet, of a part with these `sums`.
    pub(crate) const fn of(sums: &'a Sums) -> Self {
        Self { sums, count: 0 }
    }

    /// Whether the part is to be sent again after `answer`.
    pub(crate) fn wants_it_again(&mut self, answer: &Answer) -> bool {
        let is_another = is_another(answer, self.sums);
        self.count += u32::from(is_another);
        is_another && self.count < MOST_DOUBTS
    }
}

/// Whether the store says that it has something else: not every one compares what it is sent with
/// the sums of it. Without a SHA-256, its tag of a part is the MD5, unless it encrypts.
fn is_another(answer: &Answer, sums: &Sums) -> bool {
    if !answer.is_success() {
        return false;
    }
    if let Some(theirs) = answer.header(CHECKSUM) {
        return theirs != sums.sha256_base64();
    }
    // The tag is of what was encrypted, if the key is not S3's own.
    let encryption = answer.header("x-amz-server-side-encryption");
    let by_customer = answer.header("x-amz-server-side-encryption-customer-algorithm");
    if encryption.is_some_and(|name| name.starts_with("aws:")) || by_customer.is_some() {
        return false;
    }
    let tag = answer.header("etag").unwrap_or_default().trim_matches('"');
    tag.len() == 32 && !tag.eq_ignore_ascii_case(&HEXLOWER.encode(&sums.md5))
}

/// What S3 wants to be told of the parts.
pub(crate) fn complete_body(parts: &[Kept], sums: PartSum) -> String {
    let mut body =
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    for (part, number) in parts.iter().zip(1_u32..) {
        let tag = part
            .tag
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let sum = match sums {
            PartSum::Told => format!(
                "<ChecksumSHA256>{}</ChecksumSHA256>",
                BASE64.encode(&part.sha256)
            ),
            PartSum::Untold => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag>{sum}</Part>"
        );
    }
    body.push_str("</CompleteMultipartUpload>");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_or_a_sum_of_something_else_is_seen() {
        let sums = Sums::of(b"part");
        let answer = |name: &'static str, value: String| {
            let mut headers = ureq::http::HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            Answer {
                status: 200,
                headers,
                body: Vec::new(),
            }
        };
        let md5 = format!("\"{}\"", HEXLOWER.encode(&sums.md5));
        assert!(!is_another(&answer("etag", md5), &sums));
        assert!(is_another(
            &answer("etag", format!("\"{}\"", "0".repeat(32))),
            &sums
        ));
        let mut encrypted = answer("etag", format!("\"{}\"", "0".repeat(32)));
        let kms = "aws:kms".parse().unwrap();
        encrypted
            .headers
            .insert("x-amz-server-side-encryption", kms);
        assert!(!is_another(&encrypted, &sums));
        // The tag of an object in parts is no sum.
        assert!(!is_another(&answer("etag", "\"0-2\"".to_owned()), &sums));
        assert!(!is_another(&answer(CHECKSUM, sums.sha256_base64()), &sums));
        assert!(is_another(
            &answer(CHECKSUM, Sums::of(b"x").sha256_base64()),
            &sums
        ));
    }
}
