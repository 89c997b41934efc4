// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be typed of what lies beside the memory.

use clap::Args;
use std::path::PathBuf;

/// What an image tells beside the memory.
#[derive(Clone, Debug, Default, Args)]
pub struct EvidenceArgs {
    /// Keep nothing beside the memory but the manifest
    ///
    /// Otherwise the kernel's own description of itself is kept: symbols, types,
    /// modules, map, command line and the like, some MiB in all. ELF and AFF4 images
    /// hold it; beside all others lies OUTPUT.evidence.tar.zst. `linpmem-dump ls`
    /// lists it.
    #[arg(long, help_heading = "Evidence", conflicts_with = "bundle")]
    pub no_evidence: bool,

    /// Insist that the evidence be in the image itself (ELF, AFF4)
    #[arg(long, help_heading = "Evidence")]
    pub bundle: bool,

    /// Keep FILE beside the memory as well; may be repeated, and be a quoted pattern
    ///
    /// As in --add '/etc/*.conf': *, ? and [a-z] within one part of the path.
    #[arg(long, value_name = "FILE|GLOB", help_heading = "Evidence")]
    pub add: Vec<PathBuf>,

    /// The case
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub case_name: Option<String>,

    /// Who acquires
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub examiner: Option<String>,

    /// Notes
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub notes: Option<String>,
}

impl EvidenceArgs {
    /// Whether there must be evidence: some was named, or its place was.
    #[must_use]
    pub fn is_demanded(&self) -> bool {
        self.bundle || !self.add.is_empty()
    }

    /// Whether something was said that only AFF4 images can hold.
    #[must_use]
    pub fn needs_aff4(&self) -> bool {
        let texts = [&self.case_name, &self.examiner, &self.notes];
        texts.iter().any(|text| text.is_some())
    }
}
