// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of an encrypted image without a key: a small file next to it.

use crate::{ImageId, ObjectRecord, Sha256Sum, State};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What is known of an encrypted image without a key: which image it is, and the sums of its
/// files as they are, encrypted. Nothing in it can be relied on but what a signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionRecord {
    /// The version of this record: [`Self::VERSION`].
    #[serde(rename = "linpmem_encrypted")]
    pub version: u32,
    /// The image's id, as in its manifest.
    pub image_id: Option<ImageId>,
    /// When the run began: UTC, RFC 3339.
    pub started: String,
    /// How the run ended.
    pub state: State,
    /// The public keys of age that the files are encrypted to.
    pub recipients: Vec<String>,
    /// The image.
    pub image: EncryptedFileRecord,
    /// Its manifest.
    pub manifest: EncryptedFileRecord,
    /// Its artifacts, if they are in a file of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<EncryptedFileRecord>,
    /// The objects that have the image, if it went to a store, with the sums of their parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectRecord>,
}

/// An encrypted file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptedFileRecord {
    /// Its name, without a folder; null if it went into a pipe.
    pub name: Option<String>,
    /// Its bytes; null if a write failed.
    pub length: Option<u64>,
    /// Its SHA-256; null if a write failed.
    pub sha256: Option<Sha256Sum>,
}

/// The most bytes of such a file: 256 recipients have less than 32 KiB, and the sums of an object
/// of 10,000 parts less than 1 MiB.
const MAX_BYTES: u64 = 64 << 20;

impl EncryptionRecord {
    /// The version that this crate writes and reads.
    pub const VERSION: u32 = 1;

    /// No such text is longer.
    pub const MAX_BYTES: u64 = MAX_BYTES;

    /// The text of the file.
    ///
    /// # Errors
    /// None that is known.
    pub fn to_text(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, is not such a file, or has another version.
    pub fn read(path: &Path) -> io::Result<Self> {
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("this is not a regular file"));
        }
        let mut text = Vec::new();
        File::open(path)?.take(MAX_BYTES).read_to_end(&mut text)?;
        Self::parse(&text)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// If it is none, or has another version.
    pub fn parse(text: &[u8]) -> io::Result<Self> {
        let record: Self = serde_json::from_slice(text)?;
        match record.version {
            Self::VERSION if record.objects.iter().all(ObjectRecord::is_consistent) => Ok(record),
            Self::VERSION => Err(io::Error::other(
                "an object has other parts than its length",
            )),
            other => Err(io::Error::other(format!(
                "version {other} is not known, only {}",
                Self::VERSION
            ))),
        }
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &EncryptedFileRecord> {
        [&self.image, &self.manifest]
            .into_iter()
            .chain(&self.artifacts)
    }
}
