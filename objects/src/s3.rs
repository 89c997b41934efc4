// SPDX-License-Identifier: MIT OR Apache-2.0
//! S3, and those that speak its language.

mod listing;
mod parts;
mod presign;

pub(crate) use parts::{Doubts, PartSum, complete_body, leftover, removal};
pub use presign::{Expiry, Presigning};

use crate::aws::{Profile, Provider};
use crate::backend::{Backend, Kept, Limits, MOST_LISTED, Parts, Stored};
use crate::error::{StoreError, shown};
use crate::host::Host;
use crate::http::{Answer, Client, code_and_message};
use crate::sums::{Sums, sha256_of_parts};
use data_encoding::BASE64;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use listing::Page;
use parts::Upload;
use rusty_s3::actions::{
    CreateMultipartUpload, GetObject, HeadObject, ListObjectsV2, PutObject, S3Action,
};
use rusty_s3::{Bucket, Credentials, Method, UrlStyle};
use std::io::Read;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use ureq::http::Request;
use url::Url;

/// How long a signature of one attempt is good.
const SIGNED_FOR: Duration = Duration::from_secs(900);

/// A clock that is wrong by less than this does not matter.
const SKEW_S: i64 = 60;

const CHECKSUM: &str = "x-amz-checksum-sha256";
/// What makes a request replace nothing.
pub(crate) const NEW_ONLY: (&str, &str) = ("if-none-match", "*");

/// A bucket.
pub(crate) struct S3(Arc<Shared>);

struct Shared {
    host: Host,
    name: String,
    endpoint: Option<Url>,
    bucket: RwLock<Bucket>,
    credentials: Provider,
    /// The store's clock minus this machine's, in seconds.
    skew: AtomicI64,
}

impl S3 {
    /// Opens the bucket `name`.
    ///
    /// # Errors
    /// If there are no credentials.
    pub(crate) fn open(name: &str, client: Client) -> Result<Self, StoreError> {
        let profile = Profile::read();
        let endpoint = profile.endpoint();
        let endpoint = endpoint
            .map(|text| {
                let wrong = |error: url::ParseError| StoreError::Machine {
                    action: "reading AWS_ENDPOINT_URL",
                    reason: error.to_string(),
                };
                Url::parse(&text).map_err(wrong)
            })
            .transpose()?;
        let region = profile.region().unwrap_or_else(|| "us-east-1".to_owned());
        let bucket = bucket(name, endpoint.clone(), &region)?;
        Ok(Self(Arc::new(Shared {
            host: Host::of(bucket.base_url(), client),
            bucket: RwLock::new(bucket),
            name: name.to_owned(),
            endpoint,
            credentials: Provider::find(&profile)?,
            skew: AtomicI64::new(0),
        })))
    }
}

/// Amazon's own buckets have their name in the host's, unless a dot in it would not match the
/// certificate.
fn bucket(name: &str, endpoint: Option<Url>, region: &str) -> Result<Bucket, StoreError> {
    let failed = |reason: String| StoreError::Machine {
        action: "making the address of the bucket",
        reason,
    };
    let (url, style) = match endpoint {
        Some(url) => (url, UrlStyle::Path),
        None => {
            let style = match name.contains('.') {
                true => UrlStyle::Path,
                false => UrlStyle::VirtualHost,
            };
            let domain = match region.starts_with("cn-") {
                true => "amazonaws.com.cn",
                false => "amazonaws.com",
            };
            let url = Url::parse(&format!("https://s3.{region}.{domain}"));
            (url.map_err(|error| failed(error.to_string()))?, style)
        }
    };
    Bucket::new(url, style, name.to_owned(), region.to_owned())
        .map_err(|error| failed(error.to_string()))
}

impl Shared {
    /// Sends the request that `sign` makes of bucket and credentials, until the answer counts.
    fn send<F>(
        &self,
        action: &str,
        body: &[u8],
        headers: &[(&str, &str)],
        sign: F,
    ) -> Result<(Answer, bool), StoreError>
    where
        F: Fn(&Bucket, &Credentials, &Timestamp) -> (Method, Url),
    {
        self.send_until(action, body, headers, &mut |_| false, sign)
    }

    /// The same, and until `is_doubtful` does not want it again.
    fn send_until<F>(
        &self,
        action: &str,
        body: &[u8],
        headers: &[(&str, &str)],
        is_doubtful: &mut dyn FnMut(&Answer) -> bool,
        sign: F,
    ) -> Result<(Answer, bool), StoreError>
    where
        F: Fn(&Bucket, &Credentials, &Timestamp) -> (Method, Url),
    {
        self.host.send(
            action,
            body,
            || self.request(headers, &sign),
            |answer| self.learns_from(answer) || is_doubtful(answer),
        )
    }

    fn request<F>(&self, headers: &[(&str, &str)], sign: &F) -> Result<Request<()>, StoreError>
    where
        F: Fn(&Bucket, &Credentials, &Timestamp) -> (Method, Url),
    {
        let credentials = self.credentials.now()?;
        let time = self.time();
        let bucket = self.bucket.read().unwrap_or_else(PoisonError::into_inner);
        let (method, url) = sign(&bucket, &credentials, &time);
        drop(bucket);
        let builder = Request::builder().method(verb(method)).uri(url.as_str());
        self.host.request(builder, headers)
    }

    /// The store's time.
    fn time(&self) -> Timestamp {
        let seconds = Timestamp::now().as_second() + self.skew.load(Ordering::Relaxed);
        Timestamp::from_second(seconds).unwrap_or_else(|_| Timestamp::now())
    }

    /// Whether `answer` says what was wrong with the request, so that the next can be right: the
    /// region, or the time.
    fn learns_from(&self, answer: &Answer) -> bool {
        if answer.is_success() || answer.status == 404 {
            return false;
        }
        let region = answer.header("x-amz-bucket-region");
        if region.is_some_and(|region| self.moves_to(region)) {
            return true;
        }
        let code = code_and_message(answer).0;
        let is_about_time = code.as_deref().is_some_and(|code| {
            ["RequestTimeTooSkewed", "AccessDenied", "ExpiredToken"].contains(&code)
        });
        let theirs = answer.header("date").and_then(|date| {
            let date = rfc2822::DateTimeParser::new().parse_timestamp(date);
            Some(date.ok()?.as_second())
        });
        let (true, Some(theirs)) = (is_about_time, theirs) else {
            return false;
        };
        let skew = theirs - Timestamp::now().as_second();
        let before = self.skew.swap(skew, Ordering::Relaxed);
        (skew - before).abs() > SKEW_S
    }

    /// Whether the bucket is in another region than was thought, which is `region`.
    fn moves_to(&self, region: &str) -> bool {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        if self.endpoint.is_some() || !region.chars().all(is_letter) {
            return false;
        }
        let mut current = self.bucket.write().unwrap_or_else(PoisonError::into_inner);
        if current.region() == region {
            return false;
        }
        let moved = bucket(&self.name, None, region);
        moved.map(|moved| *current = moved).is_ok()
    }

    /// Whether the object of the store has `length` bytes, and these parts if the store knows.
    /// `None` if it is not there.
    fn is_ours(&self, key: &str, length: u64, parts: &[Kept]) -> Option<bool> {
        let stored = self.head(key).ok()??;
        let sum = sha256_of_parts(parts.iter().map(|part| &part.sha256));
        let is_sum_ours = stored.sha256_of_parts.is_none_or(|theirs| theirs == sum);
        Some(stored.length == length && is_sum_ours)
    }

    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let action = format!("asking for {key}");
        let headers = [("x-amz-checksum-mode", "ENABLED")];
        let (answer, _) = self.send(&action, &[], &headers, |bucket, credentials, time| {
            let mut head = HeadObject::new(bucket, Some(credentials), key);
            head.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
            (Method::Head, head.sign_with_time(SIGNED_FOR, time))
        })?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.host.done(&action, &answer)?;
        let length = answer.length();
        let length = length.ok_or_else(|| self.host.strange(&action, "it says no length"))?;
        // `SUM-NUMBER`, of the parts.
        let sum = answer.header(CHECKSUM).and_then(|text| {
            let (sum, _) = text.split_once('-')?;
            BASE64.decode(sum.as_bytes()).ok()?.try_into().ok()
        });
        Ok(Some(Stored {
            length,
            sha256_of_parts: sum,
        }))
    }
}

const fn verb(method: Method) -> &'static str {
    match method {
        Method::Head => "HEAD",
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    }
}

impl S3 {
    /// Removes the upload `id` of `key`.
    ///
    /// # Errors
    /// If the store does not.
    pub(crate) fn abort(&self, key: &str, id: &str) -> Result<(), StoreError> {
        self.upload(key, id).abort()
    }

    fn upload(&self, key: &str, id: &str) -> Upload {
        Upload {
            shared: Arc::clone(&self.0),
            key: key.to_owned(),
            id: id.to_owned(),
        }
    }
}

impl Backend for S3 {
    fn base(&self) -> Url {
        let bucket = self.0.bucket.read().unwrap_or_else(PoisonError::into_inner);
        bucket.base_url().clone()
    }

    fn limits(&self) -> Limits {
        Limits {
            // Of 10,000, so that an image may become larger than was planned.
            most_parts: 9_000,
            granule: 1,
            is_sequential: false,
            are_parts_objects: false,
            fixed_part_bytes: None,
        }
    }

    fn begin(&self, key: &str) -> Result<Box<dyn Parts>, StoreError> {
        let action = format!("beginning {key}");
        let headers = [("x-amz-checksum-algorithm", "SHA256")];
        let (answer, _) = self
            .0
            .send(&action, &[], &headers, |bucket, credentials, time| {
                let mut create = CreateMultipartUpload::new(bucket, Some(credentials), key);
                create
                    .headers_mut()
                    .insert("x-amz-checksum-algorithm", "SHA256");
                (Method::Post, create.sign_with_time(SIGNED_FOR, time))
            })?;
        self.0.host.done(&action, &answer)?;
        let parsed = CreateMultipartUpload::parse_response(&answer.text())
            .map_err(|error| self.0.host.strange(&action, error))?;
        Ok(Box::new(self.upload(key, parsed.upload_id())))
    }

    fn put(&self, key: &str, bytes: &[u8], sums: &Sums) -> Result<(), StoreError> {
        let action = format!("storing {key}");
        let sum = sums.sha256_base64();
        let md5 = sums.md5_base64();
        let headers = [
            (CHECKSUM, sum.as_str()),
            ("content-md5", md5.as_str()),
            NEW_ONLY,
        ];
        let (answer, is_repeated) =
            self.0
                .send(&action, bytes, &headers, |bucket, credentials, time| {
                    let mut put = PutObject::new(bucket, Some(credentials), key);
                    put.headers_mut().insert(CHECKSUM, sum.clone());
                    (Method::Put, put.sign_with_time(SIGNED_FOR, time))
                })?;
        // An earlier attempt arrived, and its answer did not.
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let is_ours = || self.0.is_ours(key, length, &[]);
        if answer.is_taken() && is_repeated && self.0.host.has_arrived(is_ours) {
            return Ok(());
        }
        self.0.host.done(&action, &answer)?;
        match answer.header(CHECKSUM) {
            Some(theirs) if theirs != sum => Err(StoreError::Differs {
                object: key.to_owned(),
                reason: format!("the SHA-256 {} instead of {sum}", shown(theirs)),
            }),
            _ => Ok(()),
        }
    }

    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.0.head(key)
    }

    fn get(&self, key: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        let (shared, key) = (Arc::clone(&self.0), key.to_owned());
        let request = move |from: u64| {
            let range = format!("bytes={from}-");
            shared.request(
                &[("range", range.as_str())],
                &|bucket: &Bucket, credentials: &Credentials, time: &Timestamp| {
                    let get = GetObject::new(bucket, Some(credentials), &key);
                    (Method::Get, get.sign_with_time(SIGNED_FOR, time))
                },
            )
        };
        self.0.host.read(from, Box::new(request))
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let action = format!("listing {prefix}");
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let (answer, _) = self
                .0
                .send(&action, &[], &[], |bucket, credentials, time| {
                    let mut list = ListObjectsV2::new(bucket, Some(credentials));
                    list.with_prefix(prefix.to_owned());
                    if let Some(token) = &next {
                        list.with_continuation_token(token.clone());
                    }
                    (Method::Get, list.sign_with_time(SIGNED_FOR, time))
                })?;
            self.0.host.done(&action, &answer)?;
            let page =
                Page::parse(&answer.text()).map_err(|error| self.0.host.strange(&action, error))?;
            found.extend(page.objects());
            if found.len() > MOST_LISTED {
                return Err(self.0.host.strange(&action, "there are too many objects"));
            }
            match page.next {
                Some(token) if next.as_ref() != Some(&token) => next = Some(token),
                _ => return Ok(found),
            }
        }
    }
}
