// SPDX-License-Identifier: MIT OR Apache-2.0
//! Conversions, which are acquisitions of images.

use super::{AcquireArgs, ImageArgs, OnError, Order, RunArgs, SelectionArgs};
use crate::driver::DriverSpec;
use crate::notation::{SourceSpec, parse_range};
use clap::Args;
use linpmem_phys::PhysRange;
use std::path::PathBuf;

/// What to convert, and into what. The options are those of an acquisition.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "the options say it")]
pub struct ConvertArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub source: PathBuf,

    /// The new image; - is stdout
    pub output: PathBuf,

    #[command(flatten)]
    pub image: ImageArgs,

    /// Only this range: A-B, or A+LENGTH; may be repeated
    #[arg(long = "range", value_name = "A-B", value_parser = parse_range)]
    pub ranges: Vec<PhysRange>,

    #[command(flatten)]
    pub run: RunArgs,
}

impl From<&ConvertArgs> for AcquireArgs {
    fn from(args: &ConvertArgs) -> Self {
        Self {
            output: Some(args.output.clone()),
            image: args.image.clone(),
            selection: SelectionArgs {
                include_reserved: false,
                include_holes: false,
                ranges: args.ranges.clone(),
                source: SourceSpec::Image(args.source.clone()),
                everything: true,
            },
            on_error: OnError::List,
            page_timeout: 0,
            order: Order::Address,
            second_pass: false,
            driver: DriverSpec::Never,
            symbols: false,
            run: args.run.clone(),
        }
    }
}
