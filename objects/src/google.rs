// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bucket of Google's, by its JSON interface: an upload that can be resumed takes one piece
//! after the other, and the last one completes the object.

use crate::backend::{Backend, Kept, Limits, MOST_LISTED, Part, Parts, Stored};
use crate::error::StoreError;
use crate::gcp::Tokens;
use crate::host::Host;
use crate::http::{Answer, Client};
use crate::sums::Sums;
use data_encoding::BASE64;
use serde::Deserialize;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use ureq::http::Request;
use url::Url;
use zeroize::Zeroizing;

/// A bucket.
pub(crate) struct Google(Arc<Shared>);

struct Shared {
    host: Host,
    base: Url,
    bucket: String,
    tokens: Tokens,
}

/// An upload. Its address is a secret: it needs no token.
struct Session {
    shared: Arc<Shared>,
    key: String,
    url: Zeroizing<String>,
    /// CRC32C over what was sent.
    crc: Mutex<u32>,
}

/// What Google says of an object.
#[derive(Deserialize)]
struct Resource {
    name: String,
    size: String,
    crc32c: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    items: Vec<Resource>,
    #[serde(rename = "nextPageToken")]
    next: Option<String>,
}

impl Google {
    /// Opens the bucket `name`.
    ///
    /// # Errors
    /// If there are no credentials.
    pub(crate) fn open(name: &str, client: Client) -> Result<Self, StoreError> {
        let emulator = crate::aws::variable("STORAGE_EMULATOR_HOST");
        let address = match &emulator {
            Some(host) if host.contains("://") => host.clone(),
            Some(host) => format!("http://{host}"),
            None => "https://storage.googleapis.com".to_owned(),
        };
        let base = Url::parse(&address).map_err(|error| StoreError::Machine {
            action: "reading STORAGE_EMULATOR_HOST",
            reason: error.to_string(),
        })?;
        let tokens = Tokens::find(emulator.is_some())?;
        tokens.now(&client)?;
        Ok(Self(Arc::new(Shared {
            host: Host::of(&base, client),
            base,
            bucket: name.to_owned(),
            tokens,
        })))
    }
}

impl Shared {
    /// `PATH/b/BUCKET/o[/KEY]?QUERY`.
    fn url(&self, path: &[&str], key: Option<&str>, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(path)
                .extend(["b", &self.bucket, "o"])
                .extend(key);
        }
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    fn request(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Request<()>, StoreError> {
        let mut builder = Request::builder().method(method).uri(url);
        if let Some(token) = self.tokens.now(self.host.client())? {
            builder = builder.header("authorization", format!("Bearer {}", token.as_str()));
        }
        self.host.request(builder, headers)
    }

    fn send(
        &self,
        action: &str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(Answer, bool), StoreError> {
        let request = || self.request(method, url, headers);
        self.host.send(action, body, request, |_| false)
    }

    fn resource(&self, key: &str) -> Result<Option<Resource>, StoreError> {
        let action = format!("asking for {key}");
        let url = self.url(&["storage", "v1"], Some(key), &[]);
        let (answer, _) = self.send(&action, "GET", url.as_str(), &[], &[])?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.host.done(&action, &answer)?;
        let parsed = serde_json::from_slice(&answer.body);
        parsed.map_err(|error| self.host.strange(&action, error))
    }

    /// Whether the object that `answer` describes has the sum `crc` and this length.
    fn compare(&self, key: &str, answer: &Answer, length: u64, crc: u32) -> Result<(), StoreError> {
        let action = format!("storing {key}");
        let found: Resource = serde_json::from_slice(&answer.body)
            .map_err(|error| self.host.strange(&action, error))?;
        let differs = |reason: String| StoreError::Differs {
            object: key.to_owned(),
            reason,
        };
        if found.size != length.to_string() {
            return Err(differs(format!("{} bytes of {length}", found.size)));
        }
        let sum = BASE64.encode(&crc.to_be_bytes());
        match found.crc32c {
            Some(theirs) if theirs.trim_end_matches('=') != sum.trim_end_matches('=') => {
                Err(differs(format!("the CRC32C {theirs} instead of {sum}")))
            }
            _ => Ok(()),
        }
    }
}

impl Backend for Google {
    fn base(&self) -> Url {
        self.0.base.clone()
    }

    fn limits(&self) -> Limits {
        Limits {
            // 5 TiB in parts of 16 MiB.
            most_parts: 300_000,
            granule: 256 << 10,
            is_sequential: true,
            are_parts_objects: false,
            fixed_part_bytes: None,
        }
    }

    fn begin(&self, key: &str) -> Result<Box<dyn Parts>, StoreError> {
        let action = format!("beginning {key}");
        let query = [
            ("uploadType", "resumable"),
            ("name", key),
            // Where there is none yet.
            ("ifGenerationMatch", "0"),
        ];
        let url = self.0.url(&["upload", "storage", "v1"], None, &query);
        let headers = [("content-type", "application/json")];
        let (answer, _) = self
            .0
            .send(&action, "POST", url.as_str(), &headers, b"{}")?;
        self.0.host.done(&action, &answer)?;
        let session = answer.header("location").map(ToOwned::to_owned);
        let session =
            session.ok_or_else(|| self.0.host.strange(&action, "it says not where to upload"))?;
        Ok(Box::new(Session {
            shared: Arc::clone(&self.0),
            key: key.to_owned(),
            url: Zeroizing::new(session),
            crc: Mutex::new(0),
        }))
    }

    fn put(&self, key: &str, bytes: &[u8], _: &Sums) -> Result<(), StoreError> {
        let action = format!("storing {key}");
        let query = [
            ("uploadType", "media"),
            ("name", key),
            ("ifGenerationMatch", "0"),
        ];
        let url = self.0.url(&["upload", "storage", "v1"], None, &query);
        let headers = [("content-type", "application/octet-stream")];
        let (answer, is_repeated) = self
            .0
            .send(&action, "POST", url.as_str(), &headers, bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        // An earlier attempt arrived, and its answer did not.
        let is_ours = || Some(self.0.resource(key).ok()??.size == length.to_string());
        if answer.is_taken() && is_repeated && self.0.host.has_arrived(is_ours) {
            return Ok(());
        }
        self.0.host.done(&action, &answer)?;
        self.0.compare(key, &answer, length, crc32c::crc32c(bytes))
    }

    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let found = self.0.resource(key)?;
        let length = found.and_then(|found| found.size.parse().ok());
        Ok(length.map(|length| Stored {
            length,
            sha256_of_parts: None,
        }))
    }

    fn get(&self, key: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        let shared = Arc::clone(&self.0);
        let query = [("alt", "media")];
        let url = shared.url(&["storage", "v1"], Some(key), &query);
        let request = move |from: u64| {
            let range = format!("bytes={from}-");
            shared.request("GET", url.as_str(), &[("range", range.as_str())])
        };
        self.0.host.read(from, Box::new(request))
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let action = format!("listing {prefix}");
        let mut found = Vec::new();
        let mut next = String::new();
        loop {
            let mut query = vec![("prefix", prefix)];
            if !next.is_empty() {
                query.push(("pageToken", &next));
            }
            let url = self.0.url(&["storage", "v1"], None, &query);
            let (answer, _) = self.0.send(&action, "GET", url.as_str(), &[], &[])?;
            self.0.host.done(&action, &answer)?;
            let page: Page = serde_json::from_slice(&answer.body)
                .map_err(|error| self.0.host.strange(&action, error))?;
            for item in page.items {
                let length = item.size.parse();
                let length = length.map_err(|error| self.0.host.strange(&action, error))?;
                found.push((item.name, length));
            }
            if found.len() > MOST_LISTED {
                return Err(self.0.host.strange(&action, "there are too many objects"));
            }
            match page.next {
                Some(token) if !token.is_empty() && token != next => next = token,
                _ => return Ok(found),
            }
        }
    }
}

impl Session {
    fn send(&self, action: &str, range: &str, bytes: &[u8]) -> Result<Answer, StoreError> {
        let headers = [("content-range", range)];
        let (answer, _) = self
            .shared
            .send(action, "PUT", &self.url, &headers, bytes)?;
        Ok(answer)
    }
}

impl Parts for Session {
    fn part(&self, part: &Part<'_>) -> Result<Kept, StoreError> {
        let action = format!("storing part {} of {}", part.number + 1, self.key);
        let length = u64::try_from(part.bytes.len()).unwrap_or(u64::MAX);
        let end = part.offset.saturating_add(length);
        let total = match part.is_last {
            true => end.to_string(),
            false => "*".to_owned(),
        };
        let crc = {
            let mut crc = self.crc.lock().unwrap_or_else(PoisonError::into_inner);
            *crc = crc32c::crc32c_append(*crc, part.bytes);
            *crc
        };
        let mut position = part.offset;
        loop {
            let skipped = usize::try_from(position - part.offset).unwrap_or(usize::MAX);
            let rest = part.bytes.get(skipped..).unwrap_or_default();
            let range = match rest.len() {
                0 => format!("bytes */{total}"),
                _ => format!("bytes {position}-{}/{total}", end - 1),
            };
            let answer = self.send(&action, &range, rest)?;
            match answer.status {
                200 | 201 if part.is_last => {
                    self.shared.compare(&self.key, &answer, end, crc)?;
                    break;
                }
                // It says how far it is: perhaps not as far as what was sent.
                308 => {
                    let kept = answer.header("range").and_then(|range| {
                        let (_, last) = range.rsplit_once('-')?;
                        last.parse::<u64>().ok()?.checked_add(1)
                    });
                    let kept = kept.unwrap_or(0);
                    if kept == end && !part.is_last {
                        break;
                    }
                    if kept <= position || kept > end {
                        return Err(self
                            .shared
                            .host
                            .strange(&action, format!("it has {kept} bytes of {end}")));
                    }
                    position = kept;
                }
                _ => {
                    self.shared.host.done(&action, &answer)?;
                    return Err(self.shared.host.strange(&action, "it has ended the upload"));
                }
            }
        }
        Ok(Kept {
            length,
            sha256: part.sums.sha256,
            tag: String::new(),
        })
    }

    /// The last part has done it.
    fn complete(&self, _: &[Kept]) -> Result<(), StoreError> {
        match self.shared.resource(&self.key) {
            Ok(None) => Err(StoreError::Differs {
                object: self.key.clone(),
                reason: "the object is not there".to_owned(),
            }),
            // Who may write need not be allowed to look.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    fn abort(&self) -> Result<(), StoreError> {
        let action = format!("removing the parts of {}", self.key);
        let (answer, _) = self.shared.send(&action, "DELETE", &self.url, &[], &[])?;
        match answer.status {
            404 | 410 | 499 => Ok(()),
            _ => self.shared.host.done(&action, &answer),
        }
    }

    fn leftover(&self) -> Option<String> {
        Some(format!(
            "the store keeps what it has of {} for a week, and nobody can read it",
            self.key
        ))
    }
}
