// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of `report`.

use super::{ReadingArgs, TrustArgs};
use clap::Args;
use linpmem_manifest::paths::{decrypted_of, with_suffix};
use std::path::{Path, PathBuf};

/// What to write a page about.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The image
    pub image: PathBuf,

    /// A new file for the page; - writes to stdout [default: IMAGE.report.html]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Its manifest [default: IMAGE.manifest.jsonl]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Compare the image with its manifest first, and say on the page what was found
    #[arg(long)]
    pub verify: bool,

    #[command(flatten)]
    pub trust: TrustArgs,

    #[command(flatten)]
    pub reading: ReadingArgs,

    /// Replace FILE if it exists
    #[arg(long)]
    pub force: bool,

    /// Print one JSON document that names the page; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

impl ReportArgs {
    /// The file for the page; `-` for stdout.
    #[must_use]
    pub fn page(&self) -> PathBuf {
        let beside = || with_suffix(&decrypted_of(&self.image), ".report.html");
        self.output.clone().unwrap_or_else(beside)
    }

    /// Whether the page goes to stdout.
    #[must_use]
    pub fn writes_to_stdout(&self) -> bool {
        self.output.as_deref() == Some(Path::new("-"))
    }
}
