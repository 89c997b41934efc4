// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump timestamp`: what an authority stated.

use super::shell::quoted;
use linpmem_cli::{Document, printable};
#[cfg(feature = "timestamp")]
use linpmem_custody::timestamp::{Authority, Reply};
use linpmem_manifest::Sha256Sum;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// A manifest that was stamped, or that is to be.
#[derive(Debug, Serialize)]
pub struct TimestampDocument {
    /// The manifest.
    pub manifest: String,
    /// Its SHA-256, which is what is stamped.
    pub sha256: Sha256Sum,
    /// The file of the request that was written.
    pub request: Option<String>,
    /// The file of the timestamp.
    pub timestamp: Option<String>,
    /// What it says.
    pub stamped: Option<StampedBy>,
    /// The command that checks it without this program.
    pub openssl_command: Option<String>,
}

/// What a timestamp says.
#[derive(Clone, Debug, Serialize)]
pub struct StampedBy {
    /// When it was made: UTC, RFC 3339, by the authority's clock.
    pub time: String,
    /// How far that may be off, in microseconds, as the authority says.
    pub accuracy_us: Option<u64>,
    /// Its number.
    pub serial: String,
    /// The rules by which it was made.
    pub policy: String,
    /// Who made it, if that was checked.
    pub authority: Option<String>,
    /// Whether the authority's certificate was valid then, and is not now; if it was checked.
    pub has_expired: Option<bool>,
}

impl TimestampDocument {
    /// The command with which OpenSSL checks the timestamp at `path`.
    #[must_use]
    pub fn openssl_command(manifest: &Path, path: &Path) -> String {
        format!(
            "openssl ts -verify -CAfile CA.pem -in {} -data {}",
            quoted(path),
            quoted(manifest)
        )
    }
}

impl StampedBy {
    /// What `reply` says, by `authority` if that was checked.
    #[cfg(feature = "timestamp")]
    #[must_use]
    pub fn of(reply: &Reply, authority: Option<&Authority>) -> Self {
        Self {
            time: reply.time(),
            accuracy_us: reply.accuracy_us(),
            serial: reply.serial(),
            policy: reply.policy(),
            authority: authority.map(|authority| authority.subject.clone()),
            has_expired: authority.map(|authority| authority.has_expired),
        }
    }

    /// When, and how sure that is.
    #[must_use]
    pub fn when(&self) -> String {
        let time = printable(&self.time);
        match self.accuracy_us {
            None => time,
            Some(us) if us % 1_000_000 == 0 => format!("{time} ±{} s", us / 1_000_000),
            Some(us) if us % 1000 == 0 => format!("{time} ±{} ms", us / 1000),
            Some(us) => format!("{time} ±{us} µs"),
        }
    }

    /// By whom.
    #[must_use]
    pub fn by(&self) -> String {
        match &self.authority {
            None => "an authority that was NOT CHECKED (--tsa-ca)".to_owned(),
            Some(subject) => {
                let expired = match self.has_expired {
                    Some(true) => ", whose certificate has expired since",
                    _ => "",
                };
                format!("{}{expired}", printable(subject))
            }
        }
    }
}

impl Document for TimestampDocument {
    const FORMAT: &'static str = "linpmem-dump timestamp";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(request) = &self.request {
            let request = printable(request);
            writeln!(
                out,
                "{request}: a request for a timestamp of {}",
                self.sha256
            )?;
        }
        if let (Some(path), Some(stamped)) = (&self.timestamp, &self.stamped) {
            let (path, when) = (printable(path), stamped.when());
            writeln!(out, "{path}: stamped at {when}")?;
            writeln!(out, "  by:         {}", stamped.by())?;
            let policy = printable(&stamped.policy);
            writeln!(out, "  number:     {} (policy {policy})", stamped.serial)?;
        }
        match &self.openssl_command {
            Some(command) => writeln!(out, "  check with: {command}"),
            None => Ok(()),
        }
    }
}
