// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every document has in common: its tag, and its two renderings.

use crate::terminal::Door;
use serde::{Serialize, Serializer};
use std::fmt;
use std::io::{self, Write};

/// The version of every JSON document. It grows when a program that reads the old
/// documents would misunderstand the new ones; a new field alone does not change it.
pub const VERSION: u32 = 1;

/// JSON to write at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// What a command has to say. Text and JSON are renderings of the same document, so
/// that they cannot disagree.
pub trait Document: Serialize + Sized {
    /// `format` in JSON: the command that makes the document.
    const FORMAT: &'static str;

    /// Writes the document for people. Where that goes to a terminal, it goes through
    /// [`Door`].
    ///
    /// # Errors
    /// Those of `out`.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Writes the document to stdout, which is `out`, for people or as JSON.
    ///
    /// # Errors
    /// Those of `out`.
    fn print(&self, is_json: bool, out: &mut dyn Write) -> Result<(), StdoutError> {
        if is_json {
            write_json(Self::FORMAT, self, out)
        } else {
            Ok(self.write_text(&mut Door::for_words(out))?)
        }
    }

    /// The document with its tag in front.
    fn tagged(&self) -> Tagged<'_, Self> {
        Tagged {
            tag: Tag::of(Self::FORMAT),
            body: self,
        }
    }
}

/// Writes `body`, tagged with `format`, as a document of JSON.
///
/// # Errors
/// Those of `out`.
pub fn write_json<B: Serialize>(
    format: &'static str,
    body: &B,
    out: &mut dyn Write,
) -> Result<(), StdoutError> {
    let tag = Tag::of(format);
    let buffered = io::BufWriter::with_capacity(BUFFER_BYTES, out);
    let mut out = Door::for_json(buffered);
    serde_json::to_writer_pretty(&mut out, &Tagged { tag, body }).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(out.flush()?)
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

/// A signed difference of addresses, as `-0x1000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHex(pub i64);

impl fmt::Display for SignedHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{:#x}", self.0.unsigned_abs())
    }
}

impl Serialize for SignedHex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_its_sign_in_front() {
        assert_eq!(SignedHex(-0x1000).to_string(), "-0x1000");
        assert_eq!(SignedHex(0x20).to_string(), "0x20");
        assert_eq!(SignedHex(i64::MIN).to_string(), "-0x8000000000000000");
    }

    #[test]
    fn a_document_begins_with_its_tag() {
        let mut out = Vec::new();
        write_json(
            "pmem vtop",
            &[("a", 1)]
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>(),
            &mut out,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\n  \"format\": \"pmem vtop\",\n  \"version\": 1,\n  \"a\": 1\n}\n"
        );
    }
}
