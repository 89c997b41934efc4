// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `linpmem-dump verify` found of the files that vouch for a manifest.

use super::timestamp::StampedBy;
use linpmem_cli::printable;
use linpmem_manifest::Sha256Sum;
use serde::Serialize;
use std::io::{self, Write};

/// What became of the check of a signature or a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vouched {
    /// It is good.
    Good,
    /// It is there, and nobody said whom to trust.
    NotChecked,
    /// It is wrong, or made by somebody else.
    Bad,
    /// It should be there.
    Missing,
}

/// The signature of a manifest.
#[derive(Clone, Debug, Serialize)]
pub struct SignatureCheck {
    /// The file that has it, or should.
    pub path: String,
    /// What became of the check.
    pub verdict: Vouched,
    /// The key that made it, as it says.
    pub key_id: Option<String>,
    /// The comment that was signed, if the signature is good.
    pub trusted_comment: Option<String>,
    /// What is wrong, or why it was not checked.
    pub reason: Option<String>,
}

impl SignatureCheck {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Vouched::Good | Vouched::NotChecked)
    }

    /// Writes what was found.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = printable(&self.path);
        let text = |text: &Option<String>| printable(text.as_deref().unwrap_or_default());
        let (reason, comment) = (text(&self.reason), text(&self.trusted_comment));
        let key = self.key_id.as_deref().unwrap_or("unknown");
        match self.verdict {
            Vouched::Good => {
                writeln!(
                    out,
                    "{path}: the signature by the key {key} is good: {comment}"
                )
            }
            Vouched::NotChecked => writeln!(
                out,
                "{path}: a signature by the key {key}, as it says, was NOT CHECKED: {reason}"
            ),
            Vouched::Bad => writeln!(out, "{path}: NOT GOOD: {reason}"),
            Vouched::Missing => writeln!(out, "{path}: NO SIGNATURE: {reason}"),
        }
    }
}

/// The events that were recorded since a manifest was written.
#[derive(Clone, Debug, Serialize)]
pub struct EventsCheck {
    /// The file that has them.
    pub path: String,
    /// Whether they follow each other from the manifest on.
    pub good: bool,
    /// How many do.
    pub events: usize,
    /// The SHA-256 of the last of them.
    pub head_sha256: Option<Sha256Sum>,
    /// What is wrong.
    pub reason: Option<String>,
}

impl EventsCheck {
    /// Writes what was found.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = printable(&self.path);
        match (&self.reason, self.head_sha256) {
            (None, Some(head)) => writeln!(
                out,
                "{path}: {} the manifest; the last line has the SHA-256 {head}",
                match self.events {
                    1 => "1 event follows".to_owned(),
                    many => format!("{many} events follow"),
                }
            ),
            (reason, _) => {
                let reason = reason.as_deref().unwrap_or("unknown reason");
                writeln!(out, "{path}: NOT GOOD: {}", printable(reason))
            }
        }
    }
}

/// The timestamp of a manifest.
#[derive(Clone, Debug, Serialize)]
pub struct TimestampCheck {
    /// The file that has it, or should.
    pub path: String,
    /// What became of the check.
    pub verdict: Vouched,
    /// What it says, if it is about this manifest.
    pub stamped: Option<StampedBy>,
    /// What is wrong, or why it was not checked.
    pub reason: Option<String>,
}

impl TimestampCheck {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Vouched::Good | Vouched::NotChecked)
    }

    /// Writes what was found.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = printable(&self.path);
        let reason = printable(self.reason.as_deref().unwrap_or("unknown reason"));
        match (self.verdict, &self.stamped) {
            (Vouched::Good | Vouched::NotChecked, Some(stamped)) => writeln!(
                out,
                "{path}: stamped at {} by {}",
                stamped.when(),
                stamped.by()
            ),
            (Vouched::Good | Vouched::NotChecked, None) => {
                writeln!(out, "{path}: a timestamp, which was NOT CHECKED: {reason}")
            }
            (Vouched::Bad, _) => writeln!(out, "{path}: NOT GOOD: {reason}"),
            (Vouched::Missing, _) => writeln!(out, "{path}: NO TIMESTAMP: {reason}"),
        }
    }
}
