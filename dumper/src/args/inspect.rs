// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of the commands that show the kernel in an image.

use super::{RawInputArgs, ReadingArgs};
use clap::Args;
use std::path::PathBuf;

/// The image whose kernel is shown.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The image, with its artifacts inside it or next to it
    pub image: PathBuf,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

/// What to show of tasks.
#[derive(Debug, Args)]
pub struct PsArgs {
    #[command(flatten)]
    pub inspect: InspectArgs,

    /// List every thread, not only processes
    #[arg(long)]
    pub threads: bool,
}

/// Whose mappings to show.
#[derive(Debug, Args)]
pub struct MapsArgs {
    #[command(flatten)]
    pub inspect: InspectArgs,

    /// Only those of this process. Repeatable
    #[arg(long, value_name = "PID")]
    pub pid: Vec<i32>,
}

/// Whose open files to show.
#[derive(Debug, Args)]
pub struct FilesArgs {
    #[command(flatten)]
    pub inspect: InspectArgs,

    /// Only those of this process or thread. Repeatable
    #[arg(long, value_name = "PID")]
    pub pid: Vec<i32>,
}
