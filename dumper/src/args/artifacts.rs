// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is collected with the memory, and what the image says of the case.

use clap::Args;
use linpmem_capture::{ArtifactsSpec, CaseDetails};
use std::path::PathBuf;

/// What is collected with the memory.
#[derive(Clone, Debug, Default, Args)]
pub struct ArtifactsArgs {
    /// Collect memory only, no kernel artifacts
    ///
    /// By default the kernel's own description of itself is collected: symbols, types,
    /// modules, memory map, command line and so on, a few MiB in all. ELF and AFF4
    /// images hold it; for other formats it goes to OUTPUT.artifacts.tar.zst.
    /// `linpmem-dump ls` lists it.
    #[arg(long, help_heading = "Artifacts", conflicts_with = "bundle")]
    pub no_artifacts: bool,

    /// Require the artifacts to be inside the image (ELF, AFF4)
    #[arg(long, help_heading = "Artifacts")]
    pub bundle: bool,

    /// Collect FILE as well. Repeatable; accepts a quoted glob
    ///
    /// As in --add '/etc/*.conf': *, ? and [a-z] match within one path component.
    #[arg(long, value_name = "FILE|GLOB", help_heading = "Artifacts")]
    pub add: Vec<PathBuf>,
}

/// What an AFF4 image says of the case.
#[derive(Clone, Debug, Default, Args)]
pub struct CaseArgs {
    /// Case name
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub case_name: Option<String>,

    /// Examiner's name
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub examiner: Option<String>,

    /// Free-text notes
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub notes: Option<String>,
}

impl ArtifactsArgs {
    /// What is meant.
    #[must_use]
    pub fn spec(&self) -> ArtifactsSpec {
        ArtifactsSpec {
            kernel: !self.no_artifacts,
            inside_image: self.bundle,
            add: self.add.clone(),
        }
    }
}

impl CaseArgs {
    /// Whether anything was given.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.case_name.is_some() || self.examiner.is_some() || self.notes.is_some()
    }

    /// What is meant.
    #[must_use]
    pub fn details(&self) -> CaseDetails {
        CaseDetails {
            name: self.case_name.clone(),
            examiner: self.examiner.clone(),
            notes: self.notes.clone(),
        }
    }
}
