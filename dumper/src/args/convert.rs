// SPDX-License-Identifier: MIT OR Apache-2.0
//! Conversions, which are acquisitions of images.

use super::{AcquireArgs, CareArgs, Format, Layout, OnError, Order, ProgressStyle, SelectionArgs};
use crate::driver::DriverSpec;
use crate::evidence::EvidenceArgs;
use crate::hashes::HashArgs;
use crate::notation::{CompressSpec, SourceSpec, parse_length, parse_range};
use clap::Args;
use linpmem_phys::{PhysLen, PhysRange};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What to convert, and into what. The options are those of an acquisition.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "the options say it")]
pub struct ConvertArgs {
    /// The image
    pub image: PathBuf,

    /// The new image; - is stdout
    pub output: PathBuf,

    /// Format of the new image [default: OUTPUT's ending decides]
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// How the ranges of a raw image lie
    #[arg(long, value_enum)]
    pub raw_layout: Option<Layout>,

    /// ELF: put ranges with less than SIZE between them into one segment
    #[arg(long, value_name = "SIZE", value_parser = parse_length)]
    pub merge_gaps: Option<PhysLen>,

    /// Compression of the new image
    #[arg(long, value_name = "CODEC")]
    pub compress: Option<CompressSpec>,

    /// Only this range: A-B, or A+LENGTH; may be repeated
    #[arg(long = "range", value_name = "A-B", value_parser = parse_range)]
    pub ranges: Vec<PhysRange>,

    #[command(flatten)]
    pub evidence: EvidenceArgs,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub hashes: HashArgs,

    /// Threads that hash and compress [default: the CPUs, at most 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How progress is shown, on stderr
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressStyle,

    #[command(flatten)]
    pub care: CareArgs,

    /// Where the manifest goes; needed for stdout [default: OUTPUT.manifest.json]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Replace OUTPUT and what lies beside it
    #[arg(long)]
    pub force: bool,
}

impl From<&ConvertArgs> for AcquireArgs {
    fn from(args: &ConvertArgs) -> Self {
        Self {
            output: Some(args.output.clone()),
            format: args.format,
            raw_layout: args.raw_layout,
            merge_gaps: args.merge_gaps,
            selection: SelectionArgs {
                include_reserved: false,
                include_holes: false,
                ranges: args.ranges.clone(),
                source: SourceSpec::Image(args.image.clone()),
                everything: true,
            },
            compress: args.compress.clone(),
            evidence: args.evidence.clone(),
            hashes: args.hashes.clone(),
            threads: args.threads,
            progress: args.progress,
            on_error: OnError::List,
            page_timeout: 0,
            order: Order::Address,
            second_pass: false,
            care: args.care.clone(),
            driver: DriverSpec::Never,
            symbols: false,
            manifest: args.manifest.clone(),
            force: args.force,
        }
    }
}
