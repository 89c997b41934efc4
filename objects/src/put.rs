// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server that takes files by HTTP PUT, as WebDAV has it. It cannot append, so each part is a
//! file, and an image is all of them one after the other.

use crate::address::url_of;
use crate::backend::{Backend, Kept, Limits, Part, Parts, Stored};
use crate::error::StoreError;
use crate::host::Host;
use crate::http::{Answer, Client};
use crate::sums::Sums;
use crate::upload::numbered;
use std::io::Read;
use std::sync::Arc;
use ureq::http::Request;
use url::Url;
use zeroize::Zeroizing;

/// A folder on a server.
pub(crate) struct Put(Arc<Shared>);

struct Shared {
    host: Host,
    server: Url,
    authorization: Option<Zeroizing<String>>,
}

/// The files of one image.
struct Files {
    shared: Arc<Shared>,
    key: String,
}

impl Put {
    pub(crate) fn open(
        server: &Url,
        authorization: Option<&Zeroizing<String>>,
        client: Client,
    ) -> Self {
        Self(Arc::new(Shared {
            host: Host::of(server, client),
            server: server.clone(),
            authorization: authorization.cloned(),
        }))
    }
}

impl Shared {
    fn request(
        &self,
        method: &str,
        key: &str,
        headers: &[(&str, &str)],
    ) -> Result<Request<()>, StoreError> {
        let url = url_of(&self.server, key);
        let mut builder = Request::builder().method(method).uri(url.as_str());
        if let Some(basic) = &self.authorization {
            builder = builder.header("authorization", format!("Basic {}", basic.as_str()));
        }
        self.host.request(builder, headers)
    }

    fn send(
        &self,
        action: &str,
        method: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(Answer, bool), StoreError> {
        let request = || self.request(method, key, headers);
        self.host.send(action, body, request, |_| false)
    }

    fn put(&self, key: &str, bytes: &[u8], sums: &Sums) -> Result<(), StoreError> {
        let action = format!("storing {key}");
        let md5 = sums.md5_base64();
        let headers = [
            ("if-none-match", "*"),
            ("content-md5", md5.as_str()),
            ("content-type", "application/octet-stream"),
        ];
        // Servers that ignore `if-none-match` would replace it.
        if self.head(key)?.is_some() {
            return Err(self.host.exists(&action));
        }
        let (answer, is_repeated) = self.send(&action, "PUT", key, &headers, bytes)?;
        // An earlier attempt arrived, and its answer did not.
        let is_there = answer.status == 412 && is_repeated;
        match answer.is_success() || is_there {
            true => self.compare(key, bytes.len()),
            false => Err(self.host.refused(&action, &answer)),
        }
    }

    /// Whether the file has its length: a server whose disk is full may not say so.
    fn compare(&self, key: &str, length: usize) -> Result<(), StoreError> {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        match self.head(key) {
            Ok(Some(stored)) if stored.length != length => Err(StoreError::Differs {
                object: key.to_owned(),
                reason: format!("{} bytes of {length}", stored.length),
            }),
            Ok(None) => Err(StoreError::Differs {
                object: key.to_owned(),
                reason: "nothing".to_owned(),
            }),
            // Who may write need not be allowed to look.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    /// `None` also if the server does not say.
    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let action = format!("asking for {key}");
        let (answer, _) = self.send(&action, "HEAD", key, &[], &[])?;
        match answer.status {
            200 => {}
            403 | 404 | 405 | 501 => return Ok(None),
            _ => return Err(self.host.refused(&action, &answer)),
        }
        Ok(answer.length().map(|length| Stored {
            length,
            sha256_of_parts: None,
        }))
    }
}

impl Backend for Put {
    fn base(&self) -> Url {
        self.0.server.clone()
    }

    fn limits(&self) -> Limits {
        Limits {
            most_parts: 99_999,
            granule: 1,
            is_sequential: false,
            are_parts_objects: true,
            fixed_part_bytes: None,
        }
    }

    fn begin(&self, key: &str) -> Result<Box<dyn Parts>, StoreError> {
        Ok(Box::new(Files {
            shared: Arc::clone(&self.0),
            key: key.to_owned(),
        }))
    }

    fn put(&self, key: &str, bytes: &[u8], sums: &Sums) -> Result<(), StoreError> {
        self.0.put(key, bytes, sums)
    }

    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.0.head(key)
    }

    fn get(&self, key: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        let (shared, key) = (Arc::clone(&self.0), key.to_owned());
        let request = move |from: u64| match from {
            0 => shared.request("GET", &key, &[]),
            from => shared.request("GET", &key, &[("range", &format!("bytes={from}-"))]),
        };
        self.0.host.read(from, Box::new(request))
    }

    fn list(&self, _: &str) -> Result<Vec<(String, u64)>, StoreError> {
        Err(StoreError::Machine {
            action: "listing",
            reason: "a server for HTTP PUT has no list of its files".to_owned(),
        })
    }
}

impl Parts for Files {
    fn part(&self, part: &Part<'_>) -> Result<Kept, StoreError> {
        let key = numbered(&self.key, part.number);
        self.shared.put(&key, part.bytes, part.sums)?;
        Ok(Kept {
            length: u64::try_from(part.bytes.len()).unwrap_or(u64::MAX),
            sha256: part.sums.sha256,
            tag: key,
        })
    }

    fn complete(&self, _: &[Kept]) -> Result<(), StoreError> {
        Ok(())
    }

    /// What has arrived stays.
    fn abort(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn leftover(&self) -> Option<String> {
        None
    }
}
