// SPDX-License-Identifier: MIT OR Apache-2.0
//! A line of the file.

use linpmem_manifest::{Operator, Sha256Sum, Tool};
use serde::{Deserialize, Serialize};

/// Something that happened to an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The SHA-256 of the line before, with its line feed; in the first line, of the manifest.
    pub previous: Sha256Sum,
    /// When it was recorded: UTC, RFC 3339, by the clock of the machine that recorded it.
    pub time: String,
    /// What happened.
    pub event: String,
    /// Who recorded it.
    pub operator: Operator,
    /// The name of the machine that recorded it.
    pub host: String,
    /// The program that recorded it.
    pub tool: Tool,
}

impl Entry {
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| error.to_string())
    }

    /// The line, with its line feed.
    pub(super) fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}
