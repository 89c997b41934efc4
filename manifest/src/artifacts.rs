// SPDX-License-Identifier: MIT OR Apache-2.0
//! The artifacts that were collected with the memory.

use crate::Sha256Sum;
use serde::{Deserialize, Serialize};

/// The artifacts of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactsRecord {
    /// Where it is.
    pub place: ArtifactsPlace,
    /// The file next to the image, in the same folder.
    pub file: Option<String>,
    /// Bytes of the archive; none for an AFF4 image, which holds single files.
    pub length: Option<u64>,
    /// The SHA-256 of the archive.
    pub sha256: Option<Sha256Sum>,
    /// The artifacts.
    pub files: Vec<ArtifactRecord>,
    /// What could not be collected.
    pub missing: Vec<Missing>,
    /// Notes on single artifacts.
    pub remarks: Vec<Remark>,
}

/// Where artifacts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactsPlace {
    /// In a note of an ELF core, as an archive.
    Note,
    /// Behind the memory of an ELF core, as an archive.
    Tail,
    /// In an AFF4 volume, as files.
    Members,
    /// In a file of its own next to the image.
    File,
}

/// An artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRecord {
    /// Such as `proc/kallsyms`.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// The SHA-256 of its content.
    pub sha256: Sha256Sum,
}

/// Something that could not be collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The file's name, or what it would be.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// Something that a reader should know about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The file's name.
    pub name: String,
    /// What to know.
    pub text: String,
}
