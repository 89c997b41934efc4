// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump presign`: what the bundle is good for.

use super::shell::quoted;
use linpmem_cli::{Document, printable};
use linpmem_phys::PhysLen;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// A bundle that was made. stdout may be the bundle, and this goes to stderr then.
#[derive(Debug, Serialize)]
pub struct PresignDocument {
    /// The image that it stores.
    pub place: String,
    /// Its file; `-` for stdout.
    pub bundle: String,
    /// Until when it is good, in RFC 3339.
    pub expires: String,
    /// Why then.
    pub until: Expiry,
    /// The largest image that it takes.
    pub size_bytes: u64,
    /// Bytes of each part but the last.
    pub part_bytes: u64,
    /// The most parts.
    pub parts: u32,
    /// The command that removes the upload, if the bundle is not used.
    pub removal: String,
}

/// Until when signatures are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expiry {
    /// As long as was asked for.
    AsAsked,
    /// Their credentials end before.
    CredentialsEnd,
    /// Their credentials are temporary, and may end before.
    CredentialsMayEnd,
}

impl Expiry {
    /// The same, for people and programs.
    #[must_use]
    pub const fn of(until: linpmem_capture::Expiry) -> Self {
        match until {
            linpmem_capture::Expiry::AsAsked => Self::AsAsked,
            linpmem_capture::Expiry::CredentialsEnd => Self::CredentialsEnd,
            linpmem_capture::Expiry::CredentialsMayEnd => Self::CredentialsMayEnd,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::AsAsked => "",
            Self::CredentialsEnd => ", when the credentials end that have signed it",
            Self::CredentialsMayEnd => {
                ", or until the temporary credentials end that have signed it, if that is before"
            }
        }
    }
}

impl Document for PresignDocument {
    const FORMAT: &'static str = "linpmem-dump presign";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let bundle = match self.bundle.as_str() {
            "-" => "bundle",
            path => path,
        };
        let (most, part) = (PhysLen::new(self.size_bytes), PhysLen::new(self.part_bytes));
        writeln!(
            out,
            "{}: whoever has it can store {}",
            printable(bundle),
            printable(&self.place)
        )?;
        writeln!(
            out,
            "  largest image: {most}, in {} parts of {part}",
            self.parts
        )?;
        writeln!(
            out,
            "  good until:    {}{}",
            self.expires,
            self.until.text()
        )?;
        let file = match self.bundle.as_str() {
            "-" => "bundle.json".to_owned(),
            path => {
                let name = Path::new(path).file_name().unwrap_or_default();
                quoted(Path::new(name))
            }
        };
        writeln!(out, "  on the target: linpmem-dump --to @{file}")?;
        writeln!(out, "  if not used:   {}", printable(&self.removal))
    }
}
