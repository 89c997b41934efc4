// SPDX-License-Identifier: MIT OR Apache-2.0
//! S3, and those that speak its language.

use crate::aws::{Profile, Provider};
use crate::backend::{Backend, Kept, Limits, MOST_LISTED, Part, Parts, Stored};
use crate::error::{StoreError, shown};
use crate::http::{Answer, Asked, Client, code_and_message, refused};
use crate::reading::Resumed;
use crate::sums::{Sums, sha256_of_parts};
use data_encoding::{BASE64, HEXLOWER};
use instant_xml::FromXml;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, GetObject, HeadObject,
    ListObjectsV2, PutObject, S3Action, UploadPart,
};
use rusty_s3::{Bucket, Credentials, Method, UrlStyle};
use std::fmt::Write;
use std::io::Read;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use ureq::http::Request;
use url::{Url, form_urlencoded};

/// How long a signature of one attempt is good.
const SIGNED_FOR: Duration = Duration::from_secs(900);

/// A clock that is wrong by less than this does not matter.
const SKEW_S: i64 = 60;

/// How often a part is sent to a store whose sum of it is another one: then the sum is of
/// something else, such as what it has encrypted.
const MOST_DOUBTS: u32 = 4;

const CHECKSUM: &str = "x-amz-checksum-sha256";
const NEW_ONLY: (&str, &str) = ("if-none-match", "*");

/// A bucket.
pub(crate) struct S3(Arc<Shared>);

struct Shared {
    client: Client,
    name: String,
    endpoint: Option<Url>,
    bucket: RwLock<Bucket>,
    credentials: Provider,
    /// The store's clock minus this machine's, in seconds.
    skew: AtomicI64,
}

/// An upload in parts.
struct Upload {
    shared: Arc<Shared>,
    key: String,
    id: String,
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
        Ok(Self(Arc::new(Shared {
            client,
            bucket: RwLock::new(bucket(name, endpoint.clone(), &region)?),
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
    fn host(&self) -> String {
        let bucket = self.bucket.read().unwrap_or_else(PoisonError::into_inner);
        bucket.base_url().host_str().unwrap_or_default().to_owned()
    }

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
        let host = self.host();
        let asked = Asked {
            action,
            host: &host,
        };
        self.client.send(
            asked,
            body,
            || self.request(asked, headers, &sign),
            |answer| self.learns_from(answer) || is_doubtful(answer),
        )
    }

    fn request<F>(
        &self,
        asked: Asked<'_>,
        headers: &[(&str, &str)],
        sign: &F,
    ) -> Result<Request<()>, StoreError>
    where
        F: Fn(&Bucket, &Credentials, &Timestamp) -> (Method, Url),
    {
        let credentials = self.credentials.now()?;
        let seconds = Timestamp::now().as_second() + self.skew.load(Ordering::Relaxed);
        let time = Timestamp::from_second(seconds).unwrap_or_else(|_| Timestamp::now());
        let bucket = self.bucket.read().unwrap_or_else(PoisonError::into_inner);
        let (method, url) = sign(&bucket, &credentials, &time);
        drop(bucket);
        let mut request = Request::builder().method(verb(method)).uri(url.as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).map_err(|error| asked.strange(error))
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

    /// Whether the store has an object of `length` bytes, and of these parts if it knows.
    fn has(&self, key: &str, length: u64, parts: &[Kept]) -> bool {
        let Ok(Some(stored)) = self.head(key) else {
            return false;
        };
        let sum = sha256_of_parts(parts.iter().map(|part| &part.sha256));
        stored.length == length && stored.sha256_of_parts.is_none_or(|theirs| theirs == sum)
    }

    fn done(&self, action: &str, answer: &Answer) -> Result<(), StoreError> {
        match answer.is_success() {
            true => Ok(()),
            false => Err(refused(
                Asked {
                    action,
                    host: &self.host(),
                },
                answer,
            )),
        }
    }

    fn strange(&self, action: &str, reason: impl ToString) -> StoreError {
        Asked {
            action,
            host: &self.host(),
        }
        .strange(reason)
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
        self.done(&action, &answer)?;
        let length = answer.header("content-length");
        let length = length.and_then(|text| text.parse().ok());
        let length = length.ok_or_else(|| self.strange(&action, "it says no length"))?;
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
        self.0.done(&action, &answer)?;
        let parsed = CreateMultipartUpload::parse_response(&answer.text())
            .map_err(|error| self.0.strange(&action, error))?;
        Ok(Box::new(Upload {
            shared: Arc::clone(&self.0),
            key: key.to_owned(),
            id: parsed.upload_id().to_owned(),
        }))
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
        if answer.status == 412 && is_repeated && self.0.has(key, length, &[]) {
            return Ok(());
        }
        self.0.done(&action, &answer)?;
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
        let action = format!("reading {key}");
        let (shared, key, host) = (Arc::clone(&self.0), key.to_owned(), self.0.host());
        let request = move |from: u64| {
            let asked = Asked {
                action: &action,
                host: &host,
            };
            let range = format!("bytes={from}-");
            shared.request(
                asked,
                &[("range", range.as_str())],
                &|bucket: &Bucket, credentials: &Credentials, time: &Timestamp| {
                    let get = GetObject::new(bucket, Some(credentials), &key);
                    (Method::Get, get.sign_with_time(SIGNED_FOR, time))
                },
            )
        };
        Resumed::open(
            self.0.client.clone(),
            self.0.host(),
            from,
            Box::new(request),
        )
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
            self.0.done(&action, &answer)?;
            let page: Page = instant_xml::from_str(&answer.text())
                .map_err(|error| self.0.strange(&action, error))?;
            // The request asks for keys as in forms, so that all of them can be in XML.
            let is_encoded = page.encoding.as_deref() == Some("url");
            let key = |object: &Listed| match is_encoded {
                true => form_decoded(&object.key),
                false => object.key.clone(),
            };
            found.extend(
                page.contents
                    .iter()
                    .map(|object| (key(object), object.size)),
            );
            if found.len() > MOST_LISTED {
                return Err(self.0.strange(&action, "there are too many objects"));
            }
            match page.next {
                Some(token) if next.as_ref() != Some(&token) => next = Some(token),
                _ => return Ok(found),
            }
        }
    }
}

/// A page of a list of objects. rusty-s3's own insists on fields that not every store has.
#[derive(FromXml)]
#[xml(
    rename = "ListBucketResult",
    ns("http://s3.amazonaws.com/doc/2006-03-01/")
)]
struct Page {
    contents: Vec<Listed>,
    #[xml(rename = "EncodingType")]
    encoding: Option<String>,
    #[xml(rename = "NextContinuationToken")]
    next: Option<String>,
}

#[derive(FromXml)]
#[xml(rename = "Contents", ns("http://s3.amazonaws.com/doc/2006-03-01/"))]
struct Listed {
    #[xml(rename = "Key")]
    key: String,
    #[xml(rename = "Size")]
    size: u64,
}

/// `%41+` as `A `. What has a meaning in forms is never there as itself.
fn form_decoded(key: &str) -> String {
    let mut pairs = form_urlencoded::parse(key.as_bytes());
    let name = pairs.next().map(|(name, _)| name.into_owned());
    name.unwrap_or_default()
}

impl Parts for Upload {
    fn part(&self, part: &Part<'_>) -> Result<Kept, StoreError> {
        let action = format!("storing part {} of {}", part.number + 1, self.key);
        let number = u16::try_from(part.number + 1)
            .map_err(|_| self.shared.strange(&action, "there are too many parts"))?;
        let sum = part.sums.sha256_base64();
        let md5 = part.sums.md5_base64();
        let headers = [(CHECKSUM, sum.as_str()), ("content-md5", md5.as_str())];
        let mut doubts = 0;
        let mut is_doubtful = |answer: &Answer| {
            let is_another = is_another(answer, part.sums);
            doubts += u32::from(is_another);
            is_another && doubts < MOST_DOUBTS
        };
        let (answer, _) = self.shared.send_until(
            &action,
            part.bytes,
            &headers,
            &mut is_doubtful,
            |bucket, credentials, time| {
                let (key, id) = (self.key.as_str(), self.id.as_str());
                let mut upload = UploadPart::new(bucket, Some(credentials), key, number, id);
                upload.headers_mut().insert(CHECKSUM, sum.clone());
                (Method::Put, upload.sign_with_time(SIGNED_FOR, time))
            },
        )?;
        self.shared.done(&action, &answer)?;
        let tag = answer.header("etag").map(ToOwned::to_owned);
        Ok(Kept {
            length: u64::try_from(part.bytes.len()).unwrap_or(u64::MAX),
            sha256: part.sums.sha256,
            tag: tag.ok_or_else(|| self.shared.strange(&action, "the part has no ETag"))?,
        })
    }

    fn complete(&self, parts: &[Kept]) -> Result<(), StoreError> {
        let action = format!("completing {}", self.key);
        let body = complete_body(parts);
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
        // which stores say in several ways.
        if is_repeated && self.shared.has(&self.key, length, parts) {
            return Ok(());
        }
        Err(refused(
            Asked {
                action: &action,
                host: &self.shared.host(),
            },
            &answer,
        ))
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
            _ => self.shared.done(&action, &answer),
        }
    }

    fn leftover(&self) -> Option<String> {
        let bucket = &self.shared.name;
        Some(format!(
            "the store keeps parts of {key} that cost until they are removed: aws s3api \
             abort-multipart-upload --bucket {bucket} --key '{key}' --upload-id '{id}'",
            key = self.key,
            id = self.id,
        ))
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
    let tag = answer.header("etag").unwrap_or_default().trim_matches('"');
    tag.len() == 32 && !tag.eq_ignore_ascii_case(&HEXLOWER.encode(&sums.md5))
}

/// What S3 wants to be told of the parts. Sums have to be told again.
fn complete_body(parts: &[Kept]) -> String {
    let mut body =
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    for (part, number) in parts.iter().zip(1_u32..) {
        let tag = part
            .tag
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let sum = BASE64.encode(&part.sha256);
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag><ChecksumSHA256>{sum}\
             </ChecksumSHA256></Part>"
        );
    }
    body.push_str("</CompleteMultipartUpload>");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written() {
        for (listed, key) in [
            ("case+1/a%2Bb%3Dc%26d", "case 1/a+b=c&d"),
            ("a.core", "a.core"),
            ("", ""),
        ] {
            assert_eq!(form_decoded(listed), key);
        }
        let text = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>b</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <Contents><Key>a+b</Key><LastModified>x</LastModified><Size>5</Size></Contents>\
            <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        let page: Page = instant_xml::from_str(text).unwrap();
        assert_eq!(page.contents.len(), 1);
        assert_eq!(
            (page.contents[0].size, page.next.unwrap().as_str()),
            (5, "t")
        );
    }

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
        // The tag of an object in parts is no sum.
        assert!(!is_another(&answer("etag", "\"0-2\"".to_owned()), &sums));
        assert!(!is_another(&answer(CHECKSUM, sums.sha256_base64()), &sums));
        assert!(is_another(
            &answer(CHECKSUM, Sums::of(b"x").sha256_base64()),
            &sums
        ));
    }
}
