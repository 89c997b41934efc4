// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every document has in common: its tag, and its two renderings.

use serde::{Serialize, Serializer};
use std::io::{self, Write};
use std::time::Duration;

/// The version of every JSON document. It grows when a program that reads the old
/// documents would misunderstand the new ones; a new field alone does not change it.
pub const VERSION: u32 = 1;

/// What a command has to say. Text and JSON are renderings of the same document, so
/// that they cannot disagree.
pub trait Document: Serialize + Sized {
    /// `format` in JSON: the command that makes the document.
    const FORMAT: &'static str;

    /// Writes the document for people.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Writes the document to stdout, which is `out`, for people or as JSON.
    ///
    /// # Errors
    /// Those of `out`.
    fn print(&self, is_json: bool, out: &mut dyn Write) -> Result<(), StdoutError> {
        if !is_json {
            return Ok(self.write_text(out)?);
        }
        serde_json::to_writer_pretty(&mut *out, &self.tagged()).map_err(io::Error::from)?;
        Ok(writeln!(out)?)
    }

    /// The document with its tag in front.
    fn tagged(&self) -> Tagged<'_, Self> {
        Tagged {
            tag: Tag::of(Self::FORMAT),
            body: self,
        }
    }
}

/// stdout cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("writing to stdout: {0}")]
pub struct StdoutError(#[from] io::Error);

/// The kind and version of the JSON.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tag {
    format: &'static str,
    version: u32,
}

impl Tag {
    /// The tag of what the command `format` writes.
    #[must_use]
    pub const fn of(format: &'static str) -> Self {
        Self {
            format,
            version: VERSION,
        }
    }
}

/// A document with its tag.
#[derive(Debug, Serialize)]
pub struct Tagged<'a, D> {
    #[serde(flatten)]
    tag: Tag,
    #[serde(flatten)]
    body: &'a D,
}

/// A line of JSON Lines.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a, B> {
    pub event: &'static str,
    #[serde(flatten)]
    pub body: &'a B,
}

/// A time in JSON: seconds.
pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
