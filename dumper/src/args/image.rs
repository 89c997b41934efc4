// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image that an acquisition or a conversion writes.

use super::{Format, Layout};
use crate::evidence::EvidenceArgs;
use crate::hashes::HashArgs;
use crate::notation::{CompressSpec, parse_length};
use clap::Args;
use linpmem_phys::PhysLen;

/// What OUTPUT is like.
#[derive(Clone, Debug, Args)]
pub struct ImageArgs {
    /// Format of OUTPUT
    ///
    /// Without it, OUTPUT's ending decides: .raw, .bin, .img, .mem, .dd and .padded
    /// are raw (.padded also means --raw-layout padded), .aff4 is AFF4, .lime is LiME,
    /// .kdump is kdump, .avml is AVML, all else is ELF. A further .zst, .lz4 or .sz
    /// does not matter here.
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// How the ranges of a raw image lie
    ///
    /// concatenated: back to back; only the manifest knows the addresses.
    /// padded: each at the offset of its address, holes between them.
    #[arg(long, value_enum)]
    pub raw_layout: Option<Layout>,

    /// ELF: put ranges with less than SIZE between them into one segment
    ///
    /// For tools that read no more than 144 segments, on machines with more ranges.
    /// The gaps are zero in the image and not read; the manifest has the true ranges.
    #[arg(long, value_name = "SIZE", value_parser = parse_length)]
    pub merge_gaps: Option<PhysLen>,

    /// Compress OUTPUT: auto, none, zstd, zstd:LEVEL, lz4 or snappy
    ///
    /// zstd: independent frames with a seek table, which `zstd -d` reads; lz4 and
    /// snappy: faster, larger, read by `lz4 -d` and `snzip -d`. This program opens all
    /// of them as they are, from any place. auto: zstd, lz4 or none, whichever arrives
    /// soonest by a short measurement of processors and disk. Without it, OUTPUT's
    /// ending decides: .zst, .lz4 or .sz. Images of some formats are compressed within:
    /// AFF4 by snappy (if nothing is said), lz4, zlib or none; kdump by zlib (if nothing
    /// is said), snappy, zstd or none; AVML by snappy.
    #[arg(long, value_name = "CODEC")]
    pub compress: Option<CompressSpec>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub evidence: EvidenceArgs,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub hashes: HashArgs,
}
