// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where images go.

use crate::bundle::{Bundle, BundleError};
use crate::plain_host::with_plain_host;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use url::Url;
use zeroize::Zeroizing;

/// A place in a store. Its `Display` and `Debug` show neither user name nor query, which can be
/// secrets.
#[derive(Clone)]
pub struct Location {
    pub(crate) service: Service,
    /// Before the names of objects; empty or with `/` at its end.
    pub(crate) prefix: String,
    /// The name of the image, if the user gave one.
    pub(crate) name: Option<String>,
}

/// Whose store it is.
#[derive(Clone)]
pub(crate) enum Service {
    /// `s3://BUCKET/…`.
    S3 { bucket: String },
    /// `s3://BUCKET/…`, by requests that somebody has signed.
    Presigned(Arc<Bundle>),
    /// `gs://BUCKET/…`.
    Google { bucket: String },
    /// The address of a container, with a shared access signature in its query.
    Azure {
        /// With the container, and without query.
        container: Url,
        signature: Zeroizing<String>,
    },
    /// HTTP PUT, as WebDAV has it.
    Put {
        /// The root of the server.
        server: Url,
        /// `user:password` in Base64.
        authorization: Option<Zeroizing<String>>,
    },
}

/// An address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// It has another form.
    #[error(
        "an image goes to s3://BUCKET/FOLDER/, gs://BUCKET/FOLDER/, https://HOST/FOLDER/ or the \
         address of an Azure container with its SAS: {0}"
    )]
    Form(&'static str),
}

impl Location {
    /// Whether `text` begins as the address of a store does.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        ["s3://", "gs://", "https://", "http://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    }

    /// The place that the text of a bundle is for.
    ///
    /// # Errors
    /// If it is none, or its image has a name that no address has.
    pub fn of_bundle(text: &str) -> Result<Self, BundleError> {
        let bundle = Bundle::parse(text)?;
        let address: Result<Self, _> = format!("s3://{}/{}", bundle.bucket, bundle.key).parse();
        match address {
            Ok(Self {
                service: Service::S3 { bucket },
                prefix,
                name: Some(name),
            }) if bucket == bundle.bucket => Ok(Self {
                service: Service::Presigned(Arc::new(bundle)),
                prefix,
                name: Some(name),
            }),
            _ => Err(BundleError::Wrong(
                "its bucket or its key is no name of an image",
            )),
        }
    }

    /// Whether it was a bundle, which stores one image and reads nothing.
    #[must_use]
    pub const fn is_bundle(&self) -> bool {
        matches!(self.service, Service::Presigned(_))
    }

    /// Whether it is in S3, and no bundle.
    #[must_use]
    pub const fn is_s3(&self) -> bool {
        matches!(self.service, Service::S3 { .. })
    }

    /// Whether it names an image, and not only a folder.
    #[must_use]
    pub const fn is_image(&self) -> bool {
        self.name.is_some()
    }

    /// The key of the image, which is called `generated` if the user gave no name.
    #[must_use]
    pub fn key(&self, generated: &str) -> String {
        let name = self.name.as_deref().unwrap_or(generated);
        format!("{}{name}", self.prefix)
    }

    /// The name of the store in messages.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.service {
            Service::S3 { bucket } => format!("s3://{bucket}"),
            Service::Presigned(bundle) => format!("s3://{}", bundle.bucket),
            Service::Google { bucket } => format!("gs://{bucket}"),
            Service::Azure { container, .. } => container.as_str().trim_end_matches('/').to_owned(),
            Service::Put { server, .. } => server.as_str().trim_end_matches('/').to_owned(),
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix, name) = bucket_and_path(rest)?;
            let service = Service::S3 { bucket };
            return Ok(Self {
                service,
                prefix,
                name,
            });
        }
        if let Some(rest) = text.strip_prefix("gs://") {
            let (bucket, prefix, name) = bucket_and_path(rest)?;
            let service = Service::Google { bucket };
            return Ok(Self {
                service,
                prefix,
                name,
            });
        }
        let plain = with_plain_host(text).ok_or(LocationError::Form(
            "a scheme, :// and the name of a host come first, in ASCII (xn--… for other letters)",
        ))?;
        let mut url =
            Url::parse(&plain).map_err(|_| LocationError::Form("this is none of them"))?;
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
            return Err(LocationError::Form("this is none of them"));
        }
        let signature = url.query().map(|query| Zeroizing::new(query.to_owned()));
        let authorization = authorization(&url);
        url.set_query(None);
        url.set_fragment(None);
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let path = url.path().trim_start_matches('/').to_owned();
        match signature {
            Some(signature) if has_parameter(&signature, "sig") => {
                // The emulator's addresses have the account before the container.
                let is_emulated = url.host_str().is_some_and(|host| !host.contains(".blob."));
                let depth = if is_emulated { 2 } else { 1 };
                let (container, rest) = split_after(&path, depth).ok_or(LocationError::Form(
                    "the address of a container has its name in it",
                ))?;
                let (prefix, name) = prefix_and_name(&percent_decoded(rest))?;
                url.set_path(container);
                Ok(Self {
                    service: Service::Azure {
                        container: url,
                        signature,
                    },
                    prefix,
                    name,
                })
            }
            Some(signature) if has_parameter(&signature, "X-Amz-Signature") => {
                Err(LocationError::Form(
                    "an address that is signed for one request takes no image: make a file of \
                     them with `linpmem-dump presign` and give it as @FILE",
                ))
            }
            Some(_) => Err(LocationError::Form("the address has a query")),
            None => {
                let (prefix, name) = prefix_and_name(&percent_decoded(&path))?;
                url.set_path("/");
                Ok(Self {
                    service: Service::Put {
                        server: url,
                        authorization,
                    },
                    prefix,
                    name,
                })
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or_default();
        write!(f, "{}/{}{name}", self.host(), self.prefix)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Location {}

fn authorization(url: &Url) -> Option<Zeroizing<String>> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let both = format!(
        "{}:{}",
        percent_decoded(url.username()),
        percent_decoded(url.password().unwrap_or_default())
    );
    let both = Zeroizing::new(both);
    Some(Zeroizing::new(
        data_encoding::BASE64.encode(both.as_bytes()),
    ))
}

/// `text` with `%41` as `A`.
fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The address of the object `key` below `base`.
pub(crate) fn url_of(base: &Url, key: &str) -> Url {
    let mut url = base.clone();
    // An address with a host has a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(key.split('/'));
    }
    url
}

fn has_parameter(query: &str, wanted: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == wanted)
}

fn bucket_and_path(rest: &str) -> Result<(String, String, Option<String>), LocationError> {
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if bucket.is_empty() || !bucket.chars().all(is_name) {
        return Err(LocationError::Form("there is no bucket's name in it"));
    }
    if path.contains(['?', '#']) {
        return Err(LocationError::Form("the address has a query"));
    }
    let (prefix, name) = prefix_and_name(path)?;
    Ok((bucket.to_owned(), prefix, name))
}

fn prefix_and_name(path: &str) -> Result<(String, Option<String>), LocationError> {
    if path.chars().any(char::is_control) || path.starts_with('/') || path.contains("//") {
        return Err(LocationError::Form("the path has an empty part"));
    }
    if path.split('/').any(|part| part == "." || part == "..") {
        return Err(LocationError::Form("the path has a part that is . or .."));
    }
    Ok(match path.rfind('/') {
        Some(at) => {
            let (prefix, name) = path.split_at(at + 1);
            (prefix.to_owned(), some(name))
        }
        None => (String::new(), some(path)),
    })
}

fn some(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}

/// The first `depth` parts of `path`, and what follows them.
fn split_after(path: &str, depth: usize) -> Option<(&str, &str)> {
    let mut ends = path.match_indices('/').map(|(at, _)| at);
    match ends.nth(depth - 1) {
        Some(end) => {
            let (first, rest) = path.split_at(end);
            Some((first, rest.trim_start_matches('/')))
        }
        None => {
            let parts = path.split('/').filter(|part| !part.is_empty()).count();
            (parts == depth).then_some((path, ""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Location {
        text.parse().unwrap()
    }

    #[test]
    fn a_folder_gets_a_name_and_a_name_stays() {
        for (text, key, shown) in [
            ("s3://bucket", "host.core", "s3://bucket/"),
            ("s3://bucket/", "host.core", "s3://bucket/"),
            (
                "s3://bucket/case 1/",
                "case 1/host.core",
                "s3://bucket/case 1/",
            ),
            (
                "s3://bucket/a/web.core",
                "a/web.core",
                "s3://bucket/a/web.core",
            ),
            ("gs://b/a/", "a/host.core", "gs://b/a/"),
            (
                "https://dav.example/a%20b/",
                "a b/host.core",
                "https://dav.example/a b/",
            ),
            (
                "https://dav.example/a&b=c+d/100%25",
                "a&b=c+d/100%",
                "https://dav.example/a&b=c+d/100%",
            ),
            (
                "https://acc.blob.core.windows.net/cont/a%20b/?sig=secret",
                "a b/host.core",
                "https://acc.blob.core.windows.net/cont/a b/",
            ),
            (
                "https://me:secret@dav.example:8443/x",
                "x",
                "https://dav.example:8443/x",
            ),
            (
                "https://acc.blob.core.windows.net/cont/f/?sv=1&sig=secret",
                "f/host.core",
                "https://acc.blob.core.windows.net/cont/f/",
            ),
            (
                "http://127.0.0.1:10000/devstoreaccount1/cont?sv=1&sig=secret",
                "host.core",
                "http://127.0.0.1:10000/devstoreaccount1/cont/",
            ),
        ] {
            let found = location(text);
            assert_eq!(found.key("host.core"), key, "{text}");
            assert_eq!(found.to_string(), shown, "{text}");
            assert!(!format!("{found:?}").contains("secret"), "{text}");
        }
    }

    #[test]
    fn user_and_password_are_those_that_were_written() {
        let Service::Put {
            authorization: Some(found),
            ..
        } = location("https://a%40b:p+q%3D%25&r@h/").service
        else {
            panic!("nothing was found");
        };
        let decoded = data_encoding::BASE64.decode(found.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), "a@b:p+q=%&r");
    }

    #[test]
    fn the_address_of_an_object_has_every_letter_of_its_key() {
        let base = Url::parse("https://h/cont").unwrap();
        for (key, url) in [
            ("a b/x.core", "https://h/cont/a%20b/x.core"),
            ("100%/a?b#c", "https://h/cont/100%25/a%3Fb%23c"),
        ] {
            assert_eq!(url_of(&base, key).as_str(), url);
        }
        let root = Url::parse("https://h/").unwrap();
        assert_eq!(url_of(&root, "x").as_str(), "https://h/x");
    }

    #[test]
    fn letters_beyond_ascii_have_their_places() {
        let found = location("https://me:%C3%BC@xn--bcher-kva.example/f\u{fc}r/\u{fc}.core");
        assert_eq!(found.key(""), "f\u{fc}r/\u{fc}.core");
        assert_eq!(found.host(), "https://xn--bcher-kva.example");
        let shouted = location("https://DAV.example:8443/F\u{fc}r/A.core");
        assert_eq!(shouted.host(), "https://dav.example:8443");
        assert_eq!(shouted.key(""), "F\u{fc}r/A.core");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "s3://",
            "s3:///x",
            "s3://b/../x",
            "s3://b//x",
            "s3://b/x?y",
            "ftp://h/",
            "https://",
            "https://h/?X-Amz-Signature=1",
            "https://h/?a=b",
            "https://acc.blob.core.windows.net/?sig=1",
            "https://b\u{fc}cher.example/x",
            "https://b%C3%BCcher.example/x",
            "https://me:secret@b\u{fc}cher.example\\x",
            "https:/dav.example/x",
            "https:///dav.example/x",
            "https:/\t/dav.example/x",
            "",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_place_of_a_bundle_is_one_that_an_address_has() {
        let signed = |path: &str| {
            let signature = "0".repeat(64);
            format!("https://h/{path}?uploadId=u&X-Amz-Signature={signature}")
        };
        let text = |bucket: &str, key: &str| {
            serde_json::json!({
                "format": "linpmem bundle",
                "version": 1,
                "bucket": bucket,
                "key": key,
                "expires": "2026-11-27T08:15:00Z",
                "part_bytes": 1,
                "parts": { "url": "https://h/x?uploadId=u", "signatures": ["0".repeat(64)] },
                "complete": signed("x"),
                "abort": signed("x"),
                "objects": { key: { "head": signed("x") } },
            })
            .to_string()
        };
        let found = Location::of_bundle(&text("b", "a/x.core")).unwrap();
        assert!(found.is_bundle() && !found.is_s3());
        assert_eq!(found.to_string(), "s3://b/a/x.core");
        assert_eq!(found.key("host.core"), "a/x.core");
        assert!(!format!("{found:?}").contains("Signature"));
        for (bucket, key) in [
            ("", "x"),
            ("b", ""),
            ("b", "a/"),
            ("b/a", "x"),
            ("b", "../x"),
            ("b", "x?y"),
            ("b", "\u{1b}[2J"),
            ("\u{1b}", "x"),
        ] {
            let found = Location::of_bundle(&text(bucket, key));
            assert!(found.is_err(), "{bucket:?} {key:?}");
        }
    }
}
