// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what can be typed, and the [`Plan`](linpmem_capture::Plan) that
//! it means.

#![allow(
    missing_docs,
    reason = "a doc comment on a flattened group of options would become help text"
)]

mod acquire;
mod artifacts;
mod choices;
mod commands;
mod compress;
mod convert;
mod hashes;
mod image;
mod impact;
mod plan;
mod run;
mod selection;
mod shape;

pub use acquire::AcquireArgs;
pub use artifacts::{ArtifactsArgs, CaseArgs};
pub use choices::{Format, Layout, OnError, Order, ProgressStyle};
pub use commands::{
    CompareArgs, ExtractArgs, InfoArgs, ListArgs, RangesArgs, RecoverArgs, SymbolsArgs, VerifyArgs,
};
pub use compress::CompressSpec;
pub use convert::ConvertArgs;
pub use hashes::{HashArgs, HashName};
pub use image::ImageArgs;
pub use impact::ImpactArgs;
pub use plan::UsageError;
pub use run::RunArgs;
pub use selection::SelectionArgs;
pub use shape::ShapeError;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  linpmem-dump                             HOSTNAME-TIME.core in the current folder
  linpmem-dump /mnt/usb/host.core          ELF core: crash, drgn, gdb, Volatility 3
  linpmem-dump /mnt/usb/host.core.zst --compress zstd
  linpmem-dump --include-reserved host.raw --raw-layout padded
  linpmem-dump - --manifest host.json | ssh keep 'cat > host.core'
  linpmem-dump --driver linpmem.ko         load the module for this run
  linpmem-dump --source kcore host.core    without the module, System RAM only
  linpmem-dump verify /mnt/usb/host.core   check the image against its manifest
  linpmem-dump ranges                      what would be read, and what would not

OUTPUT comes with OUTPUT.manifest.jsonl (ranges, hashes, times, unreadable pages) and
OUTPUT.sha256 (for sha256sum -c). Kernel symbols, types and other artifacts are stored
in ELF and AFF4 images, or in OUTPUT.artifacts.tar.zst. Until everything is on disk the
image is called OUTPUT.partial; an interrupted or failed run leaves it under that name.

Exit codes: 0 complete; 1 failed or interrupted; 2 wrong usage; 3 complete, but some
pages could not be read (they are zero in the image and listed in the manifest).";

/// Acquires the physical memory of a running Linux machine.
#[derive(Debug, Parser)]
#[command(
    name = "linpmem-dump",
    version,
    after_long_help = EXAMPLES,
    after_help = "--help shows more, with examples.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub acquire: AcquireArgs,
}

/// What else can be done; without a command, memory is acquired.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Recompute every hash of an image and report what differs
    ///
    /// Compares IMAGE with its manifest: each chunk, everything outside the chunks, and
    /// with --full the file as a whole. Every hash inside an AFF4 image is checked too,
    /// with or without a manifest. Exit code 0 if everything matches, 1 if anything
    /// differs, is missing or was appended.
    Verify(VerifyArgs),
    /// Show what an image contains
    Info(InfoArgs),
    /// List the artifacts stored with an image
    Ls(ListArgs),
    /// Repair an interrupted AFF4 volume
    ///
    /// IMAGE stays as it is. What was complete when the acquisition died is kept; the
    /// rest is marked as unknown.
    Recover(RecoverArgs),
    /// Show which of this machine's memory would be read
    Ranges(RangesArgs),
    /// Convert an image to another format
    ///
    /// Keeps all ranges, their kinds and the pages that could not be read, as far as the
    /// image and its manifest record them. The new manifest names the SHA-256 of the old
    /// file.
    Convert(Box<ConvertArgs>),
    /// Copy a range of addresses, or an artifact, out of an image
    Extract(ExtractArgs),
    /// Show which ranges, pages and bytes of two images differ
    ///
    /// The images may have different formats. Exit code 0 if both hold the same
    /// addresses, the same bytes and the same unreadable pages; 1 if anything differs.
    Compare(CompareArgs),
    /// Write a symbol file for Volatility 3
    ///
    /// From what the kernel says about itself (BTF, kallsyms, banner): the artifacts of
    /// IMAGE, or this machine with --live. No debug package is needed. Prints the
    /// command that uses the file.
    Symbols(SymbolsArgs),
    /// Thaw programs when --freeze cannot; for this program's own use.
    #[command(hide = true)]
    ThawWatchdog,
}
