// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of `mount`.

use super::{RawInputArgs, ReadingArgs};
use clap::Args;
use std::path::PathBuf;

/// What to mount, and where.
#[derive(Debug, Args)]
pub struct MountArgs {
    /// The image, with its artifacts inside it or next to it
    pub image: PathBuf,

    /// An empty folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,

    /// Print one JSON document when it is mounted; warnings and errors are JSON as well
    #[arg(long)]
    pub json: bool,
}
