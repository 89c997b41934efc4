// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be typed.

use crate::driver::DriverSpec;
use crate::evidence::EvidenceArgs;
use crate::hashes::HashArgs;
use crate::notation::{CompressSpec, SourceSpec, parse_length, parse_range};
use crate::sink::Limits;
use crate::symbols::SymbolsArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use linpmem_phys::{PhysLen, PhysRange};
use std::num::{NonZeroU32, NonZeroUsize};
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

/// Options that decide what is read.
#[derive(Clone, Debug, Args)]
pub struct SelectionArgs {
    /// Read reserved memory as well
    ///
    /// Beside System RAM: Reserved, ACPI Tables, ACPI Non-volatile Storage, Soft
    /// Reserved and ROMs. Never read are device registers (reading them can hang
    /// the machine), memory that the firmware calls unusable, and persistent memory.
    #[arg(long)]
    pub include_reserved: bool,

    /// Read what /proc/iomem has no entry for, as well
    ///
    /// Up to the end of RAM, or to the end of --range. Most of it is not there;
    /// what cannot be read is zero in the image and listed as unreadable.
    #[arg(long)]
    pub include_holes: bool,

    /// Read only this range: A-B, or A+LENGTH; may be repeated
    ///
    /// Addresses are hexadecimal, with or without 0x, and B is the last one
    /// included, as in /proc/iomem; LENGTH is decimal with KiB, MiB, GiB or TiB, or
    /// 0x…: 100000-1fffff and 1MiB+1MiB are the same. Widened to whole pages.
    #[arg(long = "range", value_name = "A-B", value_parser = parse_range)]
    pub ranges: Vec<PhysRange>,

    /// Where memory comes from: auto, linpmem, kcore, crash, devmem, a device node,
    /// or file:IMAGE
    ///
    /// auto takes the best that works, which is tested by reading pages whose
    /// content is known: the linpmem module (/dev/linpmem), else System RAM from
    /// /proc/kcore, /dev/crash or /dev/mem, and reserved ranges from /dev/mem.
    /// A path is the module's node elsewhere. file: reads an image that this
    /// program can open, which converts it.
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    pub source: SourceSpec,

    /// Whatever the source has, whichever kind it is.
    #[arg(skip)]
    pub everything: bool,
}

/// How to acquire.
#[derive(Debug, Args)]
pub struct AcquireArgs {
    /// The image; - is stdout
    ///
    /// Without it, HOSTNAME-TIME.core (or .raw) in the current folder. It is created
    /// with mode 0600, never through a symbolic link, and never over an existing
    /// file unless --force is given.
    pub output: Option<PathBuf>,

    /// Format of the image
    ///
    /// Without it, OUTPUT's ending decides: .raw, .bin, .img, .mem, .dd and .padded
    /// are raw (.padded also means --raw-layout padded), .aff4 is AFF4, .lime is LiME,
    /// .kdump is kdump, .avml is AVML, all else is ELF. A further .zst, .lz4 or .sz does not matter
    /// here.
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

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub selection: SelectionArgs,

    /// Compress the image: auto, none, zstd, zstd:LEVEL, lz4 or snappy
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

    /// Threads that hash and compress [default: the CPUs, at most 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How progress is shown, on stderr
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressStyle,

    /// What becomes of the run when a page cannot be read
    #[arg(long, value_enum, default_value = "list")]
    pub on_error: OnError,

    /// Give up a page that is not read within this time; 0 waits for ever
    ///
    /// It is zero in the image and listed as ETIMEDOUT. The reading thread stays
    /// behind: a read that the kernel does not return from cannot be called back.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub page_timeout: u64,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub care: CareArgs,

    /// What is read first
    #[arg(long, value_enum, default_value = "address")]
    pub order: Order,

    /// Read the memory once more, and record which pages changed meanwhile
    ///
    /// When the image is written; it is compared from the disk and stays as it is. The
    /// manifest then lists the changed pages by range: how far the image is of one
    /// moment. What this program itself changed is among them.
    #[arg(long)]
    pub second_pass: bool,

    /// Load the linpmem module for this run: its path, auto or never
    ///
    /// It is unloaded at the end, however the run ends; only a second signal or
    /// SIGKILL leaves it loaded. auto takes linpmem.ko beside this program, if it
    /// is there and can be loaded. A module that is loaded already is used and
    /// stays.
    #[arg(long, value_name = "PATH", default_value = "never")]
    pub driver: DriverSpec,

    /// Where the manifest goes; needed for stdout [default: OUTPUT.manifest.json]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Make a symbol file for Volatility 3 beside OUTPUT: OUTPUT.isf.json.xz
    ///
    /// After the memory has been read; see `linpmem-dump symbols --help`.
    #[arg(long)]
    pub symbols: bool,

    /// Replace OUTPUT and what lies beside it
    #[arg(long)]
    pub force: bool,
}

/// How the running machine is spared.
#[derive(Clone, Debug, Args)]
pub struct CareArgs {
    /// Lower the priority of this program's threads: 1 to 19
    #[arg(long, value_name = "N", help_heading = "The running machine",
          value_parser = clap::value_parser!(i32).range(1..=19))]
    pub nice: Option<i32>,

    /// Read no more than so many MiB a second
    #[arg(long, value_name = "MIB/S", help_heading = "The running machine")]
    pub rate: Option<NonZeroU32>,

    /// Stop all other programs while memory is read
    ///
    /// By cgroup v2: every control group but this program's own, those above it, and
    /// PID 1's. They are let go at the end, however the run ends, by a second process
    /// if need be, and when nothing moves for half a minute. Clients of the machine
    /// wait meanwhile, and a cluster may take it for dead.
    #[arg(long, help_heading = "The running machine")]
    pub freeze: bool,

    /// Stop after so many seconds
    ///
    /// As after SIGINT: the chunk in hand is finished, and what was read so far is a
    /// described OUTPUT.partial.
    #[arg(long, value_name = "SECONDS", help_heading = "The running machine")]
    pub timeout: Option<NonZeroU32>,

    /// Do not let the image file grow beyond SIZE
    #[arg(long, value_name = "SIZE", value_parser = parse_length,
          help_heading = "The running machine")]
    pub max_size: Option<PhysLen>,

    /// Leave SIZE of the disk free that the image goes to; 0 fills it
    ///
    /// Looked at before the run, and again while the image grows: a compressed image
    /// may fit or not. A run that comes to the limit leaves OUTPUT.partial.
    #[arg(long, value_name = "SIZE", value_parser = parse_length, default_value = "32MiB",
          help_heading = "The running machine")]
    pub min_free: PhysLen,
}

impl CareArgs {
    /// What the image file may take.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits {
            max_size: self.max_size,
            min_free: self.min_free,
        }
    }
}

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

/// Format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ELF64 core file
    Elf,
    /// Memory and nothing else
    Raw,
    /// Advanced Forensic Format 4, version 1.0
    Aff4,
    /// LiME: Volatility 3, LeechCore
    Lime,
    /// Kdump-compressed, as a flattened stream: crash, drgn, makedumpfile
    Kdump,
    /// AVML's compressed LiME; Volatility 3 hangs on memory that does not compress
    Avml,
}

/// How the ranges of a raw image lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Back to back
    Concatenated,
    /// At the offsets of their addresses
    Padded,
}

/// What is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// The lowest address
    Address,
    /// The kernel's data and the page tables, up to 64 MiB, which are held in memory
    /// until their turn; then by address
    VolatileFirst,
}

/// What becomes of the run when a page cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// It goes on: the page is zero in the image and listed; exit code 3
    List,
    /// It ends there, with exit code 1
    Fail,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, plain lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line every few seconds
    Plain,
    /// A JSON object a line
    Json,
    /// Nothing
    None,
}
