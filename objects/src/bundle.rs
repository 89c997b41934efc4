// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests that are signed already, in a file: with it, who has no credentials stores one image.
//!
//! Whoever has the file can store this image until it expires, and can neither read nor replace
//! anything: each address is good for one request, and those that give an object its name are
//! signed with `if-none-match: *`.

use crate::error::shown;
use crate::plain_host::with_plain_host;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;
use zeroize::Zeroizing;

/// More than a bundle ever has: 10,000 signatures take 700 kB.
pub(crate) const MOST_BYTES: u64 = 4 << 20;

/// S3 takes no more parts for an object, and none that are larger.
pub(crate) const MOST_PARTS: usize = 10_000;
pub(crate) const MOST_PART_BYTES: u64 = 5 << 30;

const FORMAT: &str = "linpmem bundle";
const VERSION: u64 = 1;

/// A file that is no bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is far too large.
    #[error("it is larger than any bundle of `linpmem-dump presign`")]
    TooLarge,
    /// It is another kind of file, or was cut off.
    #[error("it is no bundle of `linpmem-dump presign`, or not all of it: {0}")]
    Form(String),
    /// It was made by a program that is newer.
    #[error(
        "it is a bundle of version {0}, and this program knows version {VERSION}: take the program \
         that made it"
    )]
    Version(u64),
    /// Something in it cannot be.
    #[error("it is no bundle of `linpmem-dump presign`: {0}")]
    Wrong(&'static str),
}

/// The requests that store one image.
pub struct Bundle {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) expires: Timestamp,
    /// Of each part but the last.
    pub(crate) part_bytes: u64,
    /// The address of every part, without its number and signature.
    pub(crate) part: Signed,
    /// Of the parts, in their order.
    pub(crate) signatures: Vec<Signature>,
    pub(crate) complete: Signed,
    pub(crate) abort: Signed,
    /// The image and what belongs to it, by their keys.
    pub(crate) objects: BTreeMap<String, Requests>,
}

/// What can be asked about an object.
pub(crate) struct Requests {
    /// Whether there is one.
    pub(crate) head: Signed,
    /// To store it; the image comes in parts.
    pub(crate) put: Option<Signed>,
}

/// The address of a request. It has a signature in it, and neither user nor password.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Signed(Zeroizing<String>);

/// The signature of a part.
pub(crate) struct Signature(pub(crate) [u8; 32]);

/// As it is in the file.
#[derive(Deserialize, Serialize)]
struct Wire {
    format: String,
    version: u64,
    bucket: String,
    key: String,
    expires: String,
    part_bytes: u64,
    parts: WireParts,
    complete: Zeroizing<String>,
    abort: Zeroizing<String>,
    objects: BTreeMap<String, WireRequests>,
}

#[derive(Deserialize, Serialize)]
struct WireParts {
    url: Zeroizing<String>,
    signatures: Vec<Zeroizing<String>>,
}

#[derive(Deserialize, Serialize)]
struct WireRequests {
    head: Zeroizing<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    put: Option<Zeroizing<String>>,
}

/// What every version has.
#[derive(Deserialize)]
struct Kind {
    format: String,
    version: u64,
}

impl Bundle {
    /// Whether a file that begins so can be one: no address does.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.trim_start().starts_with('{')
    }

    /// How much of a file has to be read to know whether it is one.
    #[must_use]
    pub const fn most_bytes() -> u64 {
        // One more than it may have.
        MOST_BYTES + 1
    }

    /// Reads and checks the text of a file.
    ///
    /// # Errors
    /// If it is not what `presign` makes. Whether it has expired, the store says.
    pub fn parse(text: &str) -> Result<Self, BundleError> {
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MOST_BYTES {
            return Err(BundleError::TooLarge);
        }
        let form = |error: serde_json::Error| BundleError::Form(shown(&error.to_string()));
        let kind: Kind = serde_json::from_str(text).map_err(form)?;
        if kind.format != FORMAT {
            return Err(BundleError::Wrong("its `format` is another"));
        }
        if kind.version != VERSION {
            return Err(BundleError::Version(kind.version));
        }
        let wire: Wire = serde_json::from_str(text).map_err(form)?;
        let expires = wire.expires.parse();
        let mut objects = BTreeMap::new();
        for (key, requests) in wire.objects {
            let requests = Requests {
                head: Signed::new(requests.head)?,
                put: requests.put.map(Signed::new).transpose()?,
            };
            objects.insert(key, requests);
        }
        let signatures = wire.parts.signatures.iter();
        let signatures: Result<_, _> = signatures.map(|text| Signature::parse(text)).collect();
        Self {
            bucket: wire.bucket,
            key: wire.key,
            expires: expires.map_err(|_| BundleError::Wrong("`expires` is no time"))?,
            part_bytes: wire.part_bytes,
            part: Signed::of_parts(wire.parts.url)?,
            signatures: signatures?,
            complete: Signed::new(wire.complete)?,
            abort: Signed::new(wire.abort)?,
            objects,
        }
        .checked()
    }

    fn checked(self) -> Result<Self, BundleError> {
        let wrong = |reason| Err(BundleError::Wrong(reason));
        if self.signatures.is_empty() {
            return wrong("it has no parts");
        }
        if self.signatures.len() > MOST_PARTS {
            return wrong("it has more parts than an object can have");
        }
        if self.part_bytes == 0 || self.part_bytes > MOST_PART_BYTES {
            return wrong("no part has so many bytes");
        }
        if !self.objects.contains_key(&self.key) {
            return wrong("the image is not among its objects");
        }
        if !self.is_of_one_server() {
            return wrong("its addresses are of several servers");
        }
        if self.upload_id().is_none() {
            return wrong("its addresses name no upload");
        }
        Ok(self)
    }

    fn is_of_one_server(&self) -> bool {
        let of_objects = self.objects.values();
        let of_objects = of_objects.flat_map(|object| [Some(&object.head), object.put.as_ref()]);
        let own = [Some(&self.complete), Some(&self.abort)];
        let server = self.part.origin();
        let mut all = own.into_iter().chain(of_objects).flatten();
        all.all(|signed| signed.origin() == server)
    }

    /// As it is in the file.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn to_json(&self) -> Result<Zeroizing<String>, serde_json::Error> {
        let objects = self.objects.iter().map(|(key, requests)| {
            let requests = WireRequests {
                head: requests.head.0.clone(),
                put: requests.put.as_ref().map(|put| put.0.clone()),
            };
            (key.clone(), requests)
        });
        let signatures = self.signatures.iter();
        let signatures = signatures.map(|signature| Zeroizing::new(HEXLOWER.encode(&signature.0)));
        let wire = Wire {
            format: FORMAT.to_owned(),
            version: VERSION,
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            expires: self.expires.to_string(),
            part_bytes: self.part_bytes,
            parts: WireParts {
                url: self.part.0.clone(),
                signatures: signatures.collect(),
            },
            complete: self.complete.0.clone(),
            abort: self.abort.0.clone(),
            objects: objects.collect(),
        };
        serde_json::to_string_pretty(&wire).map(Zeroizing::new)
    }

    /// The address of the part `number`, which counts from 0; `None` if it has fewer.
    pub(crate) fn part(&self, number: u32) -> Option<Zeroizing<String>> {
        let signature = self.signatures.get(usize::try_from(number).ok()?)?;
        let signature = HEXLOWER.encode(&signature.0);
        let number = number.checked_add(1)?;
        let common = self.part.as_str();
        let url = format!("{common}&partNumber={number}&X-Amz-Signature={signature}");
        Some(Zeroizing::new(url))
    }

    /// How many parts it has.
    pub(crate) fn parts(&self) -> u32 {
        u32::try_from(self.signatures.len()).unwrap_or(u32::MAX)
    }

    /// The largest image that it takes.
    pub(crate) fn most_image_bytes(&self) -> u64 {
        self.part_bytes.saturating_mul(self.parts().into())
    }

    /// The store's name for the upload.
    pub(crate) fn upload_id(&self) -> Option<String> {
        let url = self.abort.url()?;
        let mut pairs = url.query_pairs();
        let (_, id) = pairs.find(|(name, _)| name == "uploadId")?;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-~+/=".contains(letter);
        (!id.is_empty() && id.chars().all(is_plain)).then(|| id.into_owned())
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle")
            .field("bucket", &self.bucket)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Signed {
    /// An address with its signature.
    pub(crate) fn new(text: Zeroizing<String>) -> Result<Self, BundleError> {
        let signed = Self::checked(text)?;
        match signed.has("X-Amz-Signature") {
            true => Ok(signed),
            false => Err(BundleError::Wrong("an address in it has no signature")),
        }
    }

    /// An address without what is another for each part.
    pub(crate) fn of_parts(text: Zeroizing<String>) -> Result<Self, BundleError> {
        let signed = Self::checked(text)?;
        match signed.has("X-Amz-Signature") || signed.has("partNumber") || !signed.has("uploadId") {
            true => Err(BundleError::Wrong("the address of its parts is none")),
            false => Ok(signed),
        }
    }

    fn checked(text: Zeroizing<String>) -> Result<Self, BundleError> {
        // Signed addresses are written as they go over the line.
        let plain = with_plain_host(&text).filter(|plain| *plain == text && text.is_ascii());
        let url = plain.and_then(|plain| Url::parse(&plain).ok());
        let url = url.ok_or(BundleError::Wrong("an address in it is none"))?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() || has_user {
            return Err(BundleError::Wrong("an address in it is none of HTTPS"));
        }
        // Also what the library would leave out without a word.
        if url.fragment().is_some() || url.as_str() != text.as_str() {
            return Err(BundleError::Wrong(
                "an address in it is not as presign writes it",
            ));
        }
        Ok(Self(text))
    }

    fn has(&self, wanted: &str) -> bool {
        let url = self.url();
        url.is_some_and(|url| url.query_pairs().any(|(name, _)| name == wanted))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// It was checked that it is one.
    fn url(&self) -> Option<Url> {
        Url::parse(&self.0).ok()
    }

    /// The server, without anything else.
    pub(crate) fn origin(&self) -> Option<Url> {
        let mut url = self.url()?;
        url.set_path("/");
        url.set_query(None);
        Some(url)
    }
}

impl Signature {
    pub(crate) fn parse(text: &str) -> Result<Self, BundleError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or(BundleError::Wrong("a signature in it is none"))
    }
}

#[cfg(test)]
mod tests;
