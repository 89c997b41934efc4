// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be typed.

mod acquire;
mod care;
mod choices;
mod convert;
mod image;
mod run;

pub use acquire::{AcquireArgs, SelectionArgs};
pub use care::CareArgs;
pub use choices::{Format, Layout, OnError, Order, ProgressStyle};
pub use convert::ConvertArgs;
pub use image::ImageArgs;
pub use run::RunArgs;

use crate::notation::parse_range;
use crate::symbols::SymbolsArgs;
use clap::{Args, Parser, Subcommand};
use linpmem_phys::PhysRange;
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  linpmem-dump                             HOSTNAME-TIME.core in the current folder
  linpmem-dump /mnt/usb/host.core          ELF core: crash, drgn, gdb, Volatility 3
  linpmem-dump /mnt/usb/host.core.zst --compress zstd
  linpmem-dump --include-reserved host.raw --raw-layout padded
  linpmem-dump - --manifest host.json | ssh keep 'cat > host.core'
  linpmem-dump --driver linpmem.ko         the module for this run, unloaded after it
  linpmem-dump --source kcore host.core    no module, and nothing but System RAM
  linpmem-dump verify /mnt/usb/host.core   is it still what was read?
  linpmem-dump ranges                      what would be read, and what not

Beside OUTPUT come OUTPUT.manifest.json (ranges, hashes, times, unreadable pages)
and OUTPUT.sha256 (for sha256sum -c); the kernel's symbols, types and the like lie in
an ELF or AFF4 image, or in OUTPUT.evidence.tar.zst. Until all of it is on the disk, the image
is called OUTPUT.partial; an interrupted or failed run leaves it under that name.

Exit codes: 0 complete; 1 failed or interrupted; 2 wrong usage; 3 complete, but
some pages could not be read (they are zero in the image and in the manifest).";

/// Acquires the physical memory of a running Linux machine.
#[derive(Debug, Parser)]
#[command(
    name = "linpmem-dump",
    version,
    after_long_help = EXAMPLES,
    after_help = "--help tells more, with examples.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What else than acquiring is to be done.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to acquire.
    #[command(flatten)]
    pub acquire: AcquireArgs,
}

/// Beside acquiring, which is the default.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Recompute every hash of an image, and say exactly what differs
    ///
    /// Reads IMAGE and compares it with its manifest: each chunk, what is beside
    /// them, and with --full the file as a whole. Exit code 0 if all is well, 1 if anything differs,
    /// is missing or was appended. Every hash within an AFF4 image is checked too,
    /// with or without a manifest.
    Verify(VerifyArgs),
    /// Show what an image holds
    Info(InfoArgs),
    /// List the evidence: the files that lie in an image, or beside it, with the memory
    Ls(ListArgs),
    /// Make a whole AFF4 volume of an unfinished one
    ///
    /// IMAGE stays as it is. What was complete when the acquisition died is kept;
    /// what was not reached is marked as unknown.
    Recover(RecoverArgs),
    /// Show what of this machine's memory would be read, and what not
    Ranges(RangesArgs),
    /// Make an image in another format of an image
    ///
    /// All ranges, their kinds and the pages that could not be read are kept, as far
    /// as the image and the manifest beside it tell them. The new manifest has the
    /// SHA-256 of the old file.
    Convert(Box<ConvertArgs>),
    /// Copy the bytes of some addresses, or a file of the evidence, out of an image
    Extract(ExtractArgs),
    /// Show which ranges, pages and bytes of two images differ
    ///
    /// In any two formats. Exit code 0 if both hold the same addresses, the same bytes,
    /// and the same unreadable pages; 1 if anything differs.
    Compare(CompareArgs),
    /// Make a symbol file for Volatility 3
    ///
    /// Of what the kernel tells about itself (BTF, kallsyms, banner): from the
    /// evidence in IMAGE or beside it, or from this machine with --live. No debug
    /// package is needed. Prints the command that uses the file.
    Symbols(SymbolsArgs),
    /// Let stopped programs go when --freeze cannot; for this program's own use.
    #[command(hide = true)]
    ThawWatchdog,
}

/// What to copy out of an image.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// The image
    pub image: PathBuf,

    /// A new file for the bytes; - is stdout
    pub output: PathBuf,

    /// The addresses: A-B, or A+LENGTH; to the byte
    ///
    /// Written as for acquiring. What the image does not have of them is zero in
    /// OUTPUT and named on stderr, and the exit code is then 3.
    #[arg(long, value_name = "A-B", value_parser = parse_range)]
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub range: Option<PhysRange>,

    /// A file of the evidence, as `ls` names it
    #[arg(long, value_name = "NAME")]
    pub file: Option<String>,
}

/// What to compare.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// One image
    pub left: PathBuf,

    /// The other
    pub right: PathBuf,

    /// Only this range: A-B, or A+LENGTH; may be repeated
    ///
    /// Written as for acquiring, and widened to whole pages.
    #[arg(long = "range", value_name = "A-B", value_parser = parse_range)]
    pub ranges: Vec<PhysRange>,

    /// Name every stretch that differs, not only the first 50
    #[arg(long)]
    pub all: bool,

    /// A JSON object a line: each stretch that differs, each range, a summary
    #[arg(long)]
    pub json: bool,
}

/// What to recover.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// The unfinished volume, as in host.aff4.partial
    pub image: PathBuf,

    /// The new volume [default: host.recovered.aff4]
    pub output: Option<PathBuf>,
}

/// What to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The image, or a file of evidence
    pub image: PathBuf,
}

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The image
    pub image: PathBuf,

    /// Its manifest [default: IMAGE.manifest.json]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// A further volume of a striped AFF4 image; may be repeated
    #[arg(long, value_name = "PATH")]
    pub volume: Vec<PathBuf>,

    /// Compute the file's own SHA-256 too, which one thread must do from front to back
    ///
    /// Without it every byte is compared all the same, where chunks lie in the file
    /// as they are: by its chunk's SHA-256, or that of all that is in no chunk.
    /// Elsewhere, as in compressed images, the file's is always computed.
    #[arg(long)]
    pub full: bool,

    /// Threads that hash [default: the CPUs, at most 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How progress is shown, on stderr
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressStyle,
}

/// What to show.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The image
    pub image: PathBuf,

    /// Its manifest [default: IMAGE.manifest.json, if it is there]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,
}

/// What to show of this machine's map.
#[derive(Debug, Args)]
pub struct RangesArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub selection: SelectionArgs,

    /// One JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}
