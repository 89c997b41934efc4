// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies beside the memory.

use crate::Sha256Sum;
use serde::{Deserialize, Serialize};

/// The artifacts of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactsRecord {
    /// Where it is.
    pub place: ArtifactsPlace,
    /// The file beside the image, in its folder.
    pub file: Option<String>,
    /// Bytes of the archive; none in an AFF4 image, which has none.
    pub length: Option<u64>,
    /// Of the archive.
    pub sha256: Option<Sha256Sum>,
    /// What there is.
    pub files: Vec<ArtifactRecord>,
    /// What there is not.
    pub missing: Vec<Missing>,
    /// What is to be known of what there is.
    pub remarks: Vec<Remark>,
}

/// Where artifacts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactsPlace {
    /// In a note of an ELF core, as an archive.
    Note,
    /// In an AFF4 volume, as files.
    Members,
    /// In a file of its own beside the image.
    File,
}

/// An artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRecord {
    /// As in `proc/kallsyms`.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Of its content.
    pub sha256: Sha256Sum,
}

/// Something that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The file's name, or what it would be.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// Something to be known of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The file's name.
    pub name: String,
    /// What is to be known.
    pub text: String,
}
