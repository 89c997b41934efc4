// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests, repeated as long as what prevents them may pass.

use crate::error::{StoreError, shown};
use crate::patience::{Attempts, Patience};
use instant_xml::FromXml;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long a store may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// How long it may think about a request. Joining the parts of a large object takes minutes.
const THINKING: Duration = Duration::from_secs(300);

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(15);

/// More than any answer that is not an object.
const MOST_ANSWER_BYTES: u64 = 4 << 20;

/// All that a Linux distribution trusts is a quarter of it.
const MOST_CERTIFICATE_BYTES: u64 = 1 << 20;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The number of bytes that it announces.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    pub(crate) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Whether there is an object with this name, or somebody is about to store one.
    pub(crate) const fn is_taken(&self) -> bool {
        matches!(self.status, 409 | 412)
    }
}

/// What is asked of whom, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) action: &'a str,
    pub(crate) host: &'a str,
}

impl Asked<'_> {
    /// The answer is not what the protocol says.
    pub(crate) fn strange(&self, reason: impl ToString) -> StoreError {
        StoreError::Answer {
            action: self.action.to_owned(),
            host: self.host.to_owned(),
            reason: shown(&reason.to_string()),
        }
    }
}

/// Makes requests.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    patience: Patience,
}

impl Client {
    /// Trusts Mozilla's roots, or those in the file `ca`.
    ///
    /// # Errors
    /// If that has none.
    pub(crate) fn new(ca: Option<&Path>, patience: Patience) -> Result<Self, StoreError> {
        let roots = match ca {
            None => RootCerts::WebPki,
            Some(path) => RootCerts::Specific(Arc::new(certificates(path)?)),
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        // A redirected request would be another one than was signed.
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECTING))
            .timeout_per_write(Some(SILENCE))
            .timeout_recv_response(Some(THINKING))
            .timeout_per_read(Some(SILENCE))
            .user_agent(concat!("linpmem/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Self { agent, patience })
    }

    /// For services of the machine itself, which no proxy reaches and which answer at once or
    /// do not exist.
    pub(crate) fn metadata() -> Agent {
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(2)))
            .build()
            .new_agent()
    }

    /// Sends what `request` makes, anew for each attempt, until the answer is not one that may
    /// pass. `repeat` says of further answers that the request is to be made again.
    ///
    /// # Errors
    /// If there is none in time, or `request` fails.
    pub(crate) fn send(
        &self,
        asked: Asked<'_>,
        body: &[u8],
        mut request: impl FnMut() -> Result<Request<()>, StoreError>,
        mut repeat: impl FnMut(&Answer) -> bool,
    ) -> Result<(Answer, bool), StoreError> {
        let mut attempts = Attempts::new(&self.patience);
        loop {
            let request = request()?;
            let (reason, pause) = match self.once(request, body) {
                Ok(answer) if is_passing(&answer) => {
                    let pause = answer.header("retry-after");
                    let pause = pause.and_then(|text| text.parse().ok().map(Duration::from_secs));
                    (described(&answer), pause)
                }
                Ok(answer) if repeat(&answer) => (described(&answer), Some(Duration::ZERO)),
                Ok(answer) => {
                    attempts.done();
                    return Ok((answer, attempts.is_repeated()));
                }
                Err(error) if is_lasting(&error) => {
                    return Err(StoreError::Refused {
                        action: asked.action.to_owned(),
                        host: asked.host.to_owned(),
                        status: "nothing that can be trusted".to_owned(),
                        message: reason(&error),
                        hint: "; if a proxy looks into connections here, name its certificate \
                               with --ca FILE",
                    });
                }
                Err(error) => (reason(&error), None),
            };
            if !attempts.again(pause) {
                return Err(StoreError::GaveUp {
                    action: asked.action.to_owned(),
                    host: asked.host.to_owned(),
                    after: attempts.elapsed(),
                    reason,
                });
            }
        }
    }

    fn once(&self, request: Request<()>, body: &[u8]) -> Result<Answer, ureq::Error> {
        let (head, ()) = request.into_parts();
        // A body of no bytes is one too: a store wants to know its length.
        let has_body = !matches!(head.method.as_str(), "GET" | "HEAD" | "DELETE");
        let mut response = match has_body {
            true => self.agent.run(Request::from_parts(head, body))?,
            false => self.agent.run(Request::from_parts(head, ()))?,
        };
        let body = response
            .body_mut()
            .with_config()
            .limit(MOST_ANSWER_BYTES)
            .read_to_vec()?;
        let (head, _) = response.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    /// The status and the body of the answer, to be read as it comes; the answer itself if it is no
    /// success.
    ///
    /// # Errors
    /// If there is no answer.
    pub(crate) fn open(
        &self,
        request: Request<()>,
    ) -> Result<Result<(u16, ureq::BodyReader<'static>), Answer>, ureq::Error> {
        let mut response = self.agent.run(request)?;
        let status = response.status();
        if status.is_success() {
            let (_, body) = response.into_parts();
            let reader = body.into_with_config().limit(u64::MAX).reader();
            return Ok(Ok((status.as_u16(), reader)));
        }
        let limited = response.body_mut().with_config().limit(MOST_ANSWER_BYTES);
        let body = limited.read_to_vec()?;
        let (head, _) = response.into_parts();
        Ok(Err(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }))
    }

    pub(crate) const fn patience(&self) -> &Patience {
        &self.patience
    }
}

/// Whether the same request may succeed later.
fn is_passing(answer: &Answer) -> bool {
    match answer.status {
        408 | 425 | 429 | 500 | 502 | 503 | 504 => true,
        // The request was damaged on its way.
        400 => {
            let text = answer.text();
            let codes = [
                "BadDigest",
                "RequestTimeout",
                "IncompleteBody",
                "Md5Mismatch",
                "XAmzContentSHA256Mismatch",
            ];
            codes.iter().any(|code| text.contains(code))
        }
        _ => false,
    }
}

/// Whether nothing helps but another way to ask.
fn is_lasting(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::InvalidProxyUrl => true,
        // Where rustls says so while data is written.
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// What `error` says, without the address, whose query can be a secret.
pub(crate) fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "its address is none".to_owned(),
        error => shown(&error.to_string()),
    }
}

/// What `answer` says, in a line.
pub(crate) fn described(answer: &Answer) -> String {
    match code_and_message(answer) {
        (Some(code), message) if message.is_empty() => format!("{} ({code})", answer.status),
        (Some(code), message) => format!("{} ({code}: {message})", answer.status),
        (None, _) => answer.status.to_string(),
    }
}

/// An error of S3 or Azure.
#[derive(FromXml)]
#[xml(rename = "Error")]
struct Xml {
    #[xml(rename = "Code")]
    code: String,
    #[xml(rename = "Message")]
    message: Option<String>,
}

/// An error of Google.
#[derive(Deserialize)]
struct Json {
    error: JsonError,
}

#[derive(Deserialize)]
struct JsonError {
    code: Option<serde_json::Value>,
    message: Option<String>,
}

/// The code and the message of an error of S3 or Azure, in XML, or of Google, in JSON.
pub(crate) fn code_and_message(answer: &Answer) -> (Option<String>, String) {
    let text = answer.text();
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Ok(found) = instant_xml::from_str::<Xml>(text) {
        return (
            Some(shown(&found.code)),
            shown(&found.message.unwrap_or_default()),
        );
    }
    if let Ok(found) = serde_json::from_str::<Json>(text) {
        let code = found.error.code.map(|code| shown(&code.to_string()));
        return (code, shown(&found.error.message.unwrap_or_default()));
    }
    let code = answer.header("x-ms-error-code").map(shown);
    (code, String::new())
}

/// The refusal that `answer` is.
pub(crate) fn refused(asked: Asked<'_>, answer: &Answer) -> StoreError {
    let (code, message) = code_and_message(answer);
    let code_text = code.as_deref().unwrap_or_default();
    let hint = match (answer.status, code_text) {
        (_, "RequestTimeTooSkewed") => "; set the clock of this machine",
        (_, "ExpiredToken") => "; get new credentials",
        (_, "AuthenticationFailed") => {
            "; the signature of the address may have expired: make a new one"
        }
        (401 | 403, _) => "; check the credentials, whether they have expired, and what they allow",
        (404, _) => "; check the name of the bucket, container or folder",
        (411, _) => "; this server takes no file of unknown length",
        (412 | 409, _) => "; there is something with this name, and nothing is ever replaced",
        (413, _) => "; give a smaller --part-size",
        (507, _) => "; the disk there is full",
        (300..=399, _) => "; it is somewhere else: check the address and the region",
        _ => "",
    };
    StoreError::Refused {
        action: asked.action.to_owned(),
        host: asked.host.to_owned(),
        status: match code {
            Some(code) => format!("{} ({code})", answer.status),
            None => answer.status.to_string(),
        },
        message,
        hint,
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, StoreError> {
    let wrong = |reason: String| StoreError::File {
        path: path.to_path_buf(),
        reason,
    };
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_CERTIFICATE_BYTES).read_to_end(&mut pem))
        .map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| wrong(format!("no certificates in PEM: {error}")))?;
    if found.is_empty() {
        return Err(wrong(
            "no certificates in PEM (`-----BEGIN CERTIFICATE-----`)".to_owned(),
        ));
    }
    let owned = |der: &CertificateDer<'_>| Certificate::from_der(der).to_owned();
    Ok(found.iter().map(owned).collect())
}
