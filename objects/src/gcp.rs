// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tokens with which Google's services are asked: from the environment, the key of a service
//! account, or the machine's metadata.

use crate::aws::variable;
use crate::error::StoreError;
use crate::http::{Asked, Client};
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use ureq::http::Request;
use zeroize::Zeroizing;

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// A token that ends so soon is asked for again.
const SOON_S: i64 = 300;

const MOST_FILE_BYTES: u64 = 1 << 20;

/// Where tokens come from.
pub(crate) struct Tokens {
    source: Source,
    current: Mutex<Option<(Zeroizing<String>, i64)>>,
}

enum Source {
    /// An emulator asks for none.
    None,
    /// One that was given.
    Fixed(Zeroizing<String>),
    /// A service account signs for itself.
    Account(Account),
    /// The machine has one.
    Machine { host: String },
}

/// The file with the key of a service account.
#[derive(Deserialize)]
struct Account {
    client_email: String,
    private_key: Zeroizing<String>,
    token_uri: String,
}

#[derive(Deserialize)]
struct Issued {
    access_token: Zeroizing<String>,
    expires_in: i64,
}

impl Tokens {
    /// Finds where they come from; `is_emulated` says that none is needed.
    ///
    /// # Errors
    /// If the file that the environment names has none.
    pub(crate) fn find(is_emulated: bool) -> Result<Self, StoreError> {
        let source = if is_emulated {
            Source::None
        } else if let Some(token) = variable("GOOGLE_OAUTH_ACCESS_TOKEN") {
            Source::Fixed(Zeroizing::new(token))
        } else if let Some(path) = variable("GOOGLE_APPLICATION_CREDENTIALS") {
            Source::Account(account(&PathBuf::from(path))?)
        } else {
            let host = variable("GCE_METADATA_HOST");
            Source::Machine {
                host: host.unwrap_or_else(|| "metadata.google.internal".to_owned()),
            }
        };
        Ok(Self {
            source,
            current: Mutex::new(None),
        })
    }

    /// A token that is good now; `None` if none is needed.
    ///
    /// # Errors
    /// If nobody gives one.
    pub(crate) fn now(&self, client: &Client) -> Result<Option<Zeroizing<String>>, StoreError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now().as_second();
        let lasting = current.as_ref().filter(|(_, until)| until - SOON_S > now);
        if let Some((token, _)) = lasting {
            return Ok(Some(token.clone()));
        }
        let issued = match &self.source {
            Source::None => return Ok(None),
            Source::Fixed(token) => return Ok(Some(token.clone())),
            Source::Account(account) => account.issue(client, now)?,
            Source::Machine { host } => of_machine(host)?,
        };
        let token = issued.access_token;
        *current = Some((token.clone(), now.saturating_add(issued.expires_in)));
        Ok(Some(token))
    }
}

fn account(path: &Path) -> Result<Account, StoreError> {
    let wrong = |reason: String| StoreError::File {
        path: path.to_path_buf(),
        reason,
    };
    let mut text = Zeroizing::new(String::new());
    File::open(path)
        .and_then(|file| file.take(MOST_FILE_BYTES).read_to_string(&mut text))
        .map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text)
        .map_err(|error| wrong(format!("this is no key of a service account: {error}")))
}

impl Account {
    /// By a JWT that it signs (RFC 7523).
    fn issue(&self, client: &Client, now: i64) -> Result<Issued, StoreError> {
        let asked = Asked {
            action: "asking for a token",
            host: &self.token_uri,
        };
        let header = BASE64URL_NOPAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#);
        let claims = serde_json::json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now.saturating_add(3600),
        });
        let claims = BASE64URL_NOPAD.encode(claims.to_string().as_bytes());
        let signed = format!("{header}.{claims}");
        let signature = self.sign(signed.as_bytes())?;
        let signature = BASE64URL_NOPAD.encode(&signature);
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &format!("{signed}.{signature}"))
            .finish();
        let request = || {
            Request::builder()
                .method("POST")
                .uri(&self.token_uri)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(())
                .map_err(|error| asked.strange(error))
        };
        let (answer, _) = client.send(asked, body.as_bytes(), request, |_| false)?;
        if !answer.is_success() {
            return Err(crate::http::refused(asked, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| asked.strange(error))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, StoreError> {
        let wrong = |reason: String| StoreError::NoCredentials {
            service: "Google",
            reason: format!("the private key of {}: {reason}", self.client_email),
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(self.private_key.as_bytes())
            .map_err(|error| wrong(error.to_string()))?;
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der())
            .map_err(|error| wrong(error.to_string()))?;
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        )
        .map_err(|error| wrong(error.to_string()))?;
        Ok(signature)
    }
}

fn of_machine(host: &str) -> Result<Issued, StoreError> {
    let failed = |reason: String| StoreError::NoCredentials {
        service: "Google",
        reason: format!(
            "neither GOOGLE_APPLICATION_CREDENTIALS nor GOOGLE_OAUTH_ACCESS_TOKEN is set, and \
             this machine's metadata service has none ({host}: {reason})"
        ),
    };
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let answer = Client::metadata()
        .get(url)
        .header("metadata-flavor", "Google")
        .call();
    let mut answer = answer.map_err(|error| failed(error.to_string()))?;
    if !answer.status().is_success() {
        return Err(failed(format!("it answers {}", answer.status().as_u16())));
    }
    let limited = answer.body_mut().with_config().limit(MOST_FILE_BYTES);
    let text = limited.read_to_vec();
    let text = text.map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}
