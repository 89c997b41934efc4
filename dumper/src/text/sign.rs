// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump sign`: what was signed, and how others check it.

use super::shell::quoted;
use linpmem_cli::{Document, printable};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// A manifest that was signed.
#[derive(Clone, Debug, Serialize)]
pub struct SignDocument {
    /// The manifest.
    pub manifest: String,
    /// The file that has the signature.
    pub signature: String,
    /// The key's id, as minisign prints it.
    pub key_id: String,
    /// The public key, in base64.
    pub public_key: String,
    /// The comment that is signed too.
    pub trusted_comment: String,
    /// The command that checks the signature without this program.
    pub minisign_command: String,
}

impl SignDocument {
    /// The command with which minisign checks the signature of `manifest`.
    #[must_use]
    pub fn minisign_command(manifest: &Path, public_key: &str) -> String {
        format!("minisign -V -P {public_key} -m {}", quoted(manifest))
    }
}

impl Document for SignDocument {
    const FORMAT: &'static str = "linpmem-dump sign";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (signature, key_id) = (printable(&self.signature), &self.key_id);
        writeln!(out, "{signature}: signed with the key {key_id}")?;
        writeln!(out, "  comment:    {}", printable(&self.trusted_comment))?;
        writeln!(out, "  check with: {}", self.minisign_command)
    }
}

/// The signature of what a run left.
#[derive(Clone, Debug, Serialize)]
pub struct RunSignature {
    /// The key's id.
    pub key_id: String,
    /// The file that has it.
    pub path: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
}

impl RunSignature {
    /// Writes it as a line of a summary.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let key_id = &self.key_id;
        match (&self.path, &self.error) {
            (Some(path), _) => writeln!(out, "  signature:  {path} (key {key_id})"),
            (None, error) => writeln!(
                out,
                "  signature:  NONE: {}",
                printable(error.as_deref().unwrap_or("unknown reason"))
            ),
        }
    }
}
