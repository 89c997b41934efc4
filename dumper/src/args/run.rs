// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run that writes an image.

use super::{CareArgs, ProgressStyle};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// How an acquisition or a conversion runs.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Threads that hash and compress [default: the CPUs, at most 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How progress is shown, on stderr
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressStyle,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub care: CareArgs,

    /// Where the manifest goes; needed for stdout [default: OUTPUT.manifest.json]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Replace OUTPUT and what lies beside it
    #[arg(long)]
    pub force: bool,
}
