// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run that writes an image.

use super::{ImpactArgs, ProgressStyle};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// How an acquisition or a conversion runs.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Threads that hash and compress [default: one per CPU, at most 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How to show progress on stderr
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressStyle,

    #[command(flatten)]
    pub impact: ImpactArgs,

    /// Write the manifest to PATH; required with stdout [default: OUTPUT.manifest.jsonl]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Replace OUTPUT and the files that belong to it
    #[arg(long)]
    pub force: bool,
}
