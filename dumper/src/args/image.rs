// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image that an acquisition or a conversion writes.

use super::{ArtifactsArgs, CaseArgs, CompressSpec, Format, HashArgs, Layout};
use clap::Args;
use linpmem_phys::PhysLen;

/// Format, compression and contents of OUTPUT.
#[derive(Clone, Debug, Args)]
pub struct ImageArgs {
    /// Format of OUTPUT
    ///
    /// By default the file extension decides: .raw, .bin, .img, .mem, .dd and .padded
    /// are raw (.padded implies --raw-layout padded), .aff4 is AFF4, .lime is LiME,
    /// .kdump is kdump, .avml is AVML; anything else is ELF. A further .zst, .lz4 or
    /// .sz only selects the compression.
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Layout of the ranges in a raw image
    #[arg(long, value_enum)]
    pub raw_layout: Option<Layout>,

    /// ELF: put ranges less than SIZE apart into one segment
    ///
    /// For tools that read at most 144 segments, on machines with more ranges. The
    /// gaps are not read and are zero in the image; the manifest lists the true ranges.
    #[arg(long, value_name = "SIZE")]
    pub merge_gaps: Option<PhysLen>,

    /// Compress OUTPUT: auto, none, zstd, zstd:LEVEL, lz4 or snappy
    ///
    /// zstd writes independent frames with a seek table, readable by `zstd -d`; lz4 and
    /// snappy are faster and larger, readable by `lz4 -d` and `snzip -d`. linpmem-dump
    /// opens all of them directly. auto measures processors and disk for a moment and
    /// picks what finishes first. By default the file extension decides: .zst, .lz4 or
    /// .sz. Some formats compress internally instead: AFF4 with snappy (default), lz4,
    /// zlib or none; kdump with zlib (default), snappy, zstd or none; AVML with snappy.
    #[arg(long, value_name = "CODEC")]
    pub compress: Option<CompressSpec>,

    #[command(flatten)]
    pub artifacts: ArtifactsArgs,

    #[command(flatten)]
    pub case: CaseArgs,

    #[command(flatten)]
    pub hashes: HashArgs,
}
