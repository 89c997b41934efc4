// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container in Azure's blob storage, opened by a shared access signature (SAS), which is the
//! query of every request.

use crate::address::url_of;
use crate::backend::{Backend, Kept, Limits, MOST_LISTED, Part, Parts, Stored};
use crate::error::StoreError;
use crate::host::Host;
use crate::http::{Answer, Client};
use crate::sums::Sums;
use data_encoding::BASE64;
use instant_xml::FromXml;
use std::fmt::Write;
use std::io::Read;
use std::sync::Arc;
use ureq::http::Request;
use url::Url;
use zeroize::Zeroizing;

/// The version of the service that knows all that is asked here.
const VERSION: (&str, &str) = ("x-ms-version", "2020-10-02");
const NEW_ONLY: (&str, &str) = ("if-none-match", "*");

/// A container.
pub(crate) struct Azure(Arc<Shared>);

struct Shared {
    host: Host,
    container: Url,
    signature: Zeroizing<String>,
}

/// A blob, until its blocks are put together.
struct Blob {
    shared: Arc<Shared>,
    key: String,
}

impl Azure {
    pub(crate) fn open(container: &Url, signature: &Zeroizing<String>, client: Client) -> Self {
        Self(Arc::new(Shared {
            host: Host::of(container, client),
            container: container.clone(),
            signature: signature.clone(),
        }))
    }
}

impl Shared {
    /// The address of a blob, or of the container, with `query` before the signature.
    fn url(&self, key: Option<&str>, query: &[(&str, &str)]) -> Url {
        let mut url = match key {
            Some(key) => url_of(&self.container, key),
            None => self.container.clone(),
        };
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        // As it was given: it is signed over its own spelling.
        let query = match url.query() {
            Some(query) => format!("{query}&{}", self.signature.as_str()),
            None => self.signature.as_str().to_owned(),
        };
        url.set_query(Some(&query));
        url
    }

    fn request(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
    ) -> Result<Request<()>, StoreError> {
        let builder = Request::builder().method(method).uri(url.as_str());
        self.host
            .request(builder.header(VERSION.0, VERSION.1), headers)
    }

    fn send(
        &self,
        action: &str,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(Answer, bool), StoreError> {
        let request = || self.request(method, url, headers);
        self.host.send(action, body, request, |_| false)
    }

    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let action = format!("asking for {key}");
        let (answer, _) = self.send(&action, "HEAD", &self.url(Some(key), &[]), &[], &[])?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.host.done(&action, &answer)?;
        Ok(answer.length().map(|length| Stored {
            length,
            sha256_of_parts: None,
        }))
    }

    /// After an answer that something is there: whether it is what an earlier attempt sent.
    fn is_ours(&self, answer: &Answer, is_repeated: bool, key: &str, length: u64) -> bool {
        let is_ours = || Some(self.head(key).ok()??.length == length);
        answer.is_taken() && is_repeated && self.host.has_arrived(is_ours)
    }
}

impl Backend for Azure {
    fn base(&self) -> Url {
        self.0.container.clone()
    }

    fn limits(&self) -> Limits {
        Limits {
            // Of 50,000.
            most_parts: 45_000,
            granule: 1,
            is_sequential: false,
            are_parts_objects: false,
            fixed_part_bytes: None,
        }
    }

    fn begin(&self, key: &str) -> Result<Box<dyn Parts>, StoreError> {
        // There is nothing to begin: the first block does.
        Ok(Box::new(Blob {
            shared: Arc::clone(&self.0),
            key: key.to_owned(),
        }))
    }

    fn put(&self, key: &str, bytes: &[u8], sums: &Sums) -> Result<(), StoreError> {
        let action = format!("storing {key}");
        let md5 = sums.md5_base64();
        let headers = [
            ("x-ms-blob-type", "BlockBlob"),
            ("content-md5", md5.as_str()),
            NEW_ONLY,
        ];
        let url = self.0.url(Some(key), &[]);
        let (answer, is_repeated) = self.0.send(&action, "PUT", &url, &headers, bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match self.0.is_ours(&answer, is_repeated, key, length) {
            true => Ok(()),
            false => self.0.host.done(&action, &answer),
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
                "GET",
                &shared.url(Some(&key), &[]),
                &[("range", range.as_str())],
            )
        };
        self.0.host.read(from, Box::new(request))
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let action = format!("listing {prefix}");
        let mut found = Vec::new();
        let mut next = String::new();
        loop {
            let mut query = vec![
                ("restype", "container"),
                ("comp", "list"),
                ("prefix", prefix),
            ];
            if !next.is_empty() {
                query.push(("marker", &next));
            }
            let url = self.0.url(None, &query);
            let (answer, _) = self.0.send(&action, "GET", &url, &[], &[])?;
            self.0.host.done(&action, &answer)?;
            let text = answer.text();
            let text = text.trim_start_matches('\u{feff}');
            let page: Page =
                instant_xml::from_str(text).map_err(|error| self.0.host.strange(&action, error))?;
            let blobs = page.blobs.into_iter().flat_map(|blobs| blobs.blobs);
            found.extend(blobs.map(|blob| (blob.name, blob.properties.length)));
            if found.len() > MOST_LISTED {
                return Err(self.0.host.strange(&action, "there are too many objects"));
            }
            match page.next {
                Some(marker) if !marker.is_empty() && marker != next => next = marker,
                _ => return Ok(found),
            }
        }
    }
}

/// A page of a list of blobs.
#[derive(FromXml)]
#[xml(rename = "EnumerationResults")]
struct Page {
    blobs: Option<Blobs>,
    #[xml(rename = "NextMarker")]
    next: Option<String>,
}

#[derive(FromXml)]
#[xml(rename = "Blobs")]
struct Blobs {
    blobs: Vec<Listed>,
}

#[derive(FromXml)]
#[xml(rename = "Blob")]
struct Listed {
    #[xml(rename = "Name")]
    name: String,
    properties: Properties,
}

#[derive(FromXml)]
#[xml(rename = "Properties")]
struct Properties {
    #[xml(rename = "Content-Length")]
    length: u64,
}

impl Parts for Blob {
    fn part(&self, part: &Part<'_>) -> Result<Kept, StoreError> {
        let action = format!("storing block {} of {}", part.number + 1, self.key);
        // All names of a blob's blocks have one length.
        let id = BASE64.encode(format!("{:08}", part.number).as_bytes());
        let url = self
            .shared
            .url(Some(&self.key), &[("comp", "block"), ("blockid", &id)]);
        let md5 = part.sums.md5_base64();
        let headers = [("content-md5", md5.as_str())];
        let (answer, _) = self
            .shared
            .send(&action, "PUT", &url, &headers, part.bytes)?;
        self.shared.host.done(&action, &answer)?;
        Ok(Kept {
            length: u64::try_from(part.bytes.len()).unwrap_or(u64::MAX),
            sha256: part.sums.sha256,
            tag: id,
        })
    }

    fn complete(&self, parts: &[Kept]) -> Result<(), StoreError> {
        let action = format!("completing {}", self.key);
        let mut body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>".to_owned();
        for part in parts {
            // Writing to a string cannot fail.
            let _ = write!(body, "<Latest>{}</Latest>", part.tag);
        }
        body.push_str("</BlockList>");
        let url = self.shared.url(Some(&self.key), &[("comp", "blocklist")]);
        let headers = [("content-type", "application/xml"), NEW_ONLY];
        let (answer, is_repeated) =
            self.shared
                .send(&action, "PUT", &url, &headers, body.as_bytes())?;
        let length = parts.iter().map(|part| part.length).sum();
        match self.shared.is_ours(&answer, is_repeated, &self.key, length) {
            true => Ok(()),
            false => self.shared.host.done(&action, &answer),
        }
    }

    /// Azure removes blocks that belong to no blob after a week.
    fn abort(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn leftover(&self) -> Option<String> {
        Some(format!("the store keeps blocks of {} for a week", self.key))
    }
}
