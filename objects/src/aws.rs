// SPDX-License-Identifier: MIT OR Apache-2.0
//! The credentials and the region for S3, from where Amazon's own tools take them: the
//! environment, the files in ~/.aws, the metadata of a container, and those of a machine.

use crate::error::StoreError;
use crate::http::Client;
use jiff::Timestamp;
use rusty_s3::Credentials;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use ureq::Agent;

/// More than any such file.
const MOST_FILE_BYTES: u64 = 1 << 20;

/// Credentials that end so soon are asked for again.
const SOON_S: i64 = 300;

/// Where credentials come from.
pub(crate) struct Provider {
    source: Source,
    current: Mutex<Option<Current>>,
}

enum Source {
    /// They never change.
    Fixed,
    Container {
        url: String,
        token: Option<String>,
    },
    Machine {
        endpoint: String,
    },
}

#[derive(Clone)]
struct Current {
    credentials: Credentials,
    until: Option<Timestamp>,
}

/// Of the metadata services' answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

/// The files in ~/.aws.
#[derive(Default)]
pub(crate) struct Profile(BTreeMap<String, String>);

impl Profile {
    /// The user's profile, or none.
    pub(crate) fn read() -> Self {
        let name = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let file = |variable_name, own: &str| {
            variable(variable_name).map_or_else(|| home.join(".aws").join(own), PathBuf::from)
        };
        let mut found = BTreeMap::new();
        for path in [
            file("AWS_CONFIG_FILE", "config"),
            file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ] {
            let mut text = String::new();
            let read = File::open(path)
                .and_then(|file| file.take(MOST_FILE_BYTES).read_to_string(&mut text));
            if read.is_ok() {
                found.extend(section(&text, &name));
            }
        }
        Self(found)
    }

    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).filter(|value| !value.is_empty()).cloned()
    }

    /// The region, if one is set anywhere.
    pub(crate) fn region(&self) -> Option<String> {
        variable("AWS_REGION")
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| self.get("region"))
    }

    /// The address of the service, if it is not Amazon's.
    pub(crate) fn endpoint(&self) -> Option<String> {
        variable("AWS_ENDPOINT_URL_S3")
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| self.get("endpoint_url"))
    }
}

/// The keys of a section of an INI file.
fn section(text: &str, name: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut is_here = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(title) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let title = title.trim();
            let title = title.strip_prefix("profile ").unwrap_or(title).trim();
            is_here = title == name;
        } else if is_here && !line.starts_with(['#', ';']) {
            let pair = line.split_once('=');
            found.extend(pair.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())));
        }
    }
    found
}

/// The variable `name`, unless it is empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

impl Provider {
    /// Finds credentials.
    ///
    /// # Errors
    /// If there are none.
    pub(crate) fn find(profile: &Profile) -> Result<Self, StoreError> {
        let fixed = |key: Option<String>, secret: Option<String>, token: Option<String>| {
            let (key, secret) = (key?, secret?);
            let credentials = match token {
                Some(token) => Credentials::new_with_token(key, secret, token),
                None => Credentials::new(key, secret),
            };
            Some(Self {
                source: Source::Fixed,
                current: Mutex::new(Some(Current {
                    credentials,
                    until: None,
                })),
            })
        };
        let in_environment = fixed(
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_SECRET_ACCESS_KEY"),
            variable("AWS_SESSION_TOKEN"),
        );
        let in_profile = || {
            fixed(
                profile.get("aws_access_key_id"),
                profile.get("aws_secret_access_key"),
                profile.get("aws_session_token"),
            )
        };
        if let Some(found) = in_environment.or_else(in_profile) {
            return Ok(found);
        }
        let source = match (
            variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ) {
            (Some(relative), _) => Source::Container {
                url: format!("http://169.254.170.2{relative}"),
                token: None,
            },
            (None, Some(url)) => Source::Container {
                url,
                token: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            },
            (None, None)
                if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|is| is == "true") =>
            {
                return Err(StoreError::NoCredentials {
                    service: "S3",
                    reason: "neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, nor \
                             ~/.aws/credentials has any, and AWS_EC2_METADATA_DISABLED is set"
                        .to_owned(),
                });
            }
            (None, None) => Source::Machine {
                endpoint: variable("AWS_EC2_METADATA_SERVICE_ENDPOINT")
                    .unwrap_or_else(|| "http://169.254.169.254".to_owned()),
            },
        };
        let found = Self {
            source,
            current: Mutex::new(None),
        };
        found.now()?;
        Ok(found)
    }

    /// Credentials that are good now.
    ///
    /// # Errors
    /// If nobody gives any.
    pub(crate) fn now(&self) -> Result<Credentials, StoreError> {
        Ok(self.current()?.credentials)
    }

    /// The same, and when they end, if that is known.
    ///
    /// # Errors
    /// As [`now`](Self::now).
    pub(crate) fn now_and_end(&self) -> Result<(Credentials, Option<Timestamp>), StoreError> {
        let current = self.current()?;
        Ok((current.credentials, current.until))
    }

    fn current(&self) -> Result<Current, StoreError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &*current {
            let ends = current.until.map_or(i64::MAX, Timestamp::as_second);
            if ends.saturating_sub(SOON_S) > Timestamp::now().as_second() {
                return Ok(current.clone());
            }
        }
        let fresh = self.issue().map_err(|reason| StoreError::NoCredentials {
            service: "S3",
            reason,
        });
        match (fresh, &*current) {
            (Ok(fresh), _) => {
                *current = Some(fresh.clone());
                Ok(fresh)
            }
            // They may still be good; the store knows.
            (Err(_), Some(old)) => Ok(old.clone()),
            (Err(error), None) => Err(error),
        }
    }

    fn issue(&self) -> Result<Current, String> {
        let agent = Client::metadata();
        let text = match &self.source {
            Source::Fixed => return Err("they have ended".to_owned()),
            Source::Container { url, token } => {
                get(&agent, url, ("authorization", token.as_deref()))
                    .map_err(|reason| format!("the container's service at {url}: {reason}"))?
            }
            Source::Machine { endpoint } => of_machine(&agent, endpoint).map_err(|reason| {
                format!(
                    "neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, nor ~/.aws/credentials, \
                     nor this machine's metadata service has any ({endpoint}: {reason})"
                )
            })?,
        };
        let issued: Issued = serde_json::from_str(&text)
            .map_err(|error| format!("an answer that is not understood: {error}"))?;
        Ok(Current {
            credentials: match issued.token {
                Some(token) => Credentials::new_with_token(
                    issued.access_key_id,
                    issued.secret_access_key,
                    token,
                ),
                None => Credentials::new(issued.access_key_id, issued.secret_access_key),
            },
            until: issued.expiration.and_then(|text| text.parse().ok()),
        })
    }
}

/// By IMDSv2: a token first.
fn of_machine(agent: &Agent, endpoint: &str) -> Result<String, String> {
    let base = endpoint.trim_end_matches('/');
    let answer = agent
        .put(format!("{base}/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        .send_empty();
    let token = text(answer)?;
    let role_url = format!("{base}/latest/meta-data/iam/security-credentials/");
    let with_token = ("x-aws-ec2-metadata-token", Some(token.trim()));
    let roles = get(agent, &role_url, with_token)?;
    let role = roles.lines().next().unwrap_or_default().trim();
    if role.is_empty() {
        return Err("the machine has no role".to_owned());
    }
    get(agent, &format!("{role_url}{role}"), with_token)
}

fn get(agent: &Agent, url: &str, header: (&str, Option<&str>)) -> Result<String, String> {
    let mut request = agent.get(url);
    if let (name, Some(value)) = header {
        request = request.header(name, value);
    }
    text(request.call())
}

fn text(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<String, String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status().as_u16()));
    }
    let limited = answer.body_mut().with_config().limit(MOST_FILE_BYTES);
    limited.read_to_string().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_in_either_file() {
        let config = "[default]\nregion = a\n[profile case]\n# region = x\nregion=eu-1\n";
        assert_eq!(section(config, "case").get("region").unwrap(), "eu-1");
        assert_eq!(section(config, "default").get("region").unwrap(), "a");
        let credentials = "[case]\naws_access_key_id = K=1\n";
        let found = section(credentials, "case");
        assert_eq!(found.get("aws_access_key_id").unwrap(), "K=1");
        assert!(section(credentials, "other").is_empty());
    }
}
