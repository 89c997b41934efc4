// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to convert, and into what.

use super::{ImageArgs, RunArgs};
use clap::Args;
use linpmem_phys::PhysRange;
use std::path::PathBuf;

/// What to convert, and into what.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub source: PathBuf,

    /// The new image; - writes to stdout
    pub output: PathBuf,

    #[command(flatten)]
    pub image: ImageArgs,

    /// Convert only this range: A-B or A+LENGTH. Repeatable
    #[arg(long = "range", value_name = "A-B")]
    pub ranges: Vec<PhysRange>,

    #[command(flatten)]
    pub run: RunArgs,
}
