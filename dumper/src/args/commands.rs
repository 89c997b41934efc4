// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of the commands that read images or the machine's memory map.

use super::{IdentityArgs, MemoryArgs, ProgressStyle, RawInputArgs, ReadingArgs, SelectionArgs};
use clap::{ArgGroup, Args};
use linpmem_phys::PhysRange;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What to copy out of an image.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// The image
    pub image: PathBuf,

    /// A new file for the bytes; - writes to stdout
    pub output: PathBuf,

    /// The addresses to copy: A-B or A+LENGTH, to the byte
    ///
    /// Bytes that the image does not have are zero in OUTPUT and listed on stderr; the
    /// exit code is then 3.
    #[arg(long, value_name = "A-B")]
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub range: Option<PhysRange>,

    /// An artifact, as `ls` names it
    #[arg(long, value_name = "NAME")]
    pub file: Option<String>,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,

    /// Write stderr as JSON Lines: the summary or an error
    #[arg(long)]
    pub json: bool,
}

/// What to compare.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// One image
    pub left: PathBuf,

    /// The other image
    pub right: PathBuf,

    /// Compare only this range: A-B or A+LENGTH. Repeatable
    ///
    /// Widened to whole pages.
    #[arg(long = "range", value_name = "A-B")]
    pub ranges: Vec<PhysRange>,

    /// List every extent that differs, not only the first 50
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    pub identity: IdentityArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,

    /// Print JSON Lines: every extent that differs, every range, a summary
    #[arg(long)]
    pub json: bool,
}

/// What to recover.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// What is left of the image, such as host.core.partial
    pub image: PathBuf,

    /// The new image [default: host.recovered.core]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub identity: IdentityArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

/// What to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The image, or an OUTPUT.artifacts.tar.zst
    pub image: PathBuf,

    #[command(flatten)]
    pub reading: ReadingArgs,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

/// Whom to trust to vouch for a manifest.
#[derive(Debug, Default, Args)]
pub struct TrustArgs {
    /// Require a signature of the manifest by this public key of minisign
    ///
    /// The key itself, a line of base64 that begins with RW, or a file that has it. A signature
    /// that is missing, wrong or by another key is a difference (exit code 1). Without this
    /// option, a signature is mentioned and not checked.
    #[cfg(feature = "sign")]
    #[arg(long, value_name = "KEY|FILE")]
    pub public_key: Option<String>,

    /// Require a timestamp by an authority that the certificates in FILE (PEM) vouch for
    ///
    /// All certificates have to be valid at the time that the timestamp has. Without this
    /// option, it is checked that a timestamp is of this manifest, but not who made it.
    #[cfg(feature = "timestamp")]
    #[arg(long, value_name = "FILE")]
    pub tsa_ca: Option<PathBuf>,
}

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The image, or its address in a store
    ///
    /// In a store (s3://…, gs://…, https://…; docs/stores.md) it is compared with the manifest
    /// there: by the sums that the store keeps, or by reading it. @FILE has an address that others
    /// shall not see on the command line.
    pub image: PathBuf,

    /// Trust the certificates in FILE (PEM) for stores, instead of Mozilla's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Its manifest [default: IMAGE.manifest.jsonl]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Also compute the file's own SHA-256, on one thread from front to back
    ///
    /// Without --full, every byte of an uncompressed image is still compared: by the
    /// SHA-256 of its chunk, or of everything outside the chunks. For compressed images it
    /// is always computed.
    #[arg(long)]
    pub full: bool,

    #[command(flatten)]
    pub trust: TrustArgs,

    /// Threads that read and hash [default: one per CPU, at most 16]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How to show progress on stderr
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressStyle,

    #[command(flatten)]
    pub reading: ReadingArgs,

    /// Print one JSON document; progress and errors on stderr are JSON Lines
    #[arg(long)]
    pub json: bool,
}

/// What to show.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The image
    pub image: PathBuf,

    /// Its manifest [default: IMAGE.manifest.jsonl, if it exists]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

/// What to show of this machine's memory map.
#[derive(Debug, Args)]
pub struct RangesArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

impl SymbolsArgs {
    /// The options with which `convert` reads the same image.
    #[must_use]
    pub fn options_to_read(&self) -> Vec<OsString> {
        let mut words = self.raw.words();
        for volume in &self.reading.volume {
            words.extend([OsString::from("--volume"), volume.into()]);
        }
        words.extend(self.reading.identity.words());
        let limit = self.reading.memory.memory_limit;
        if limit != MemoryArgs::default().memory_limit {
            words.push(format!("--memory-limit={}", limit.get()).into());
        }
        words
    }
}

/// What a symbol file is made from.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("kernel").required(true))]
pub struct SymbolsArgs {
    /// The image with its artifacts, or an OUTPUT.artifacts.tar.zst
    #[arg(group = "kernel")]
    pub image: Option<PathBuf>,

    /// Use the running kernel of this machine
    #[arg(long, group = "kernel")]
    pub live: bool,

    /// Output file [default: IMAGE.isf.json.xz, or RELEASE.isf.json.xz in this folder]
    ///
    /// Volatility finds files that end in .json or .json.xz; .json is not compressed.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// Take symbols from this System.map instead of kallsyms
    ///
    /// For kernels that hide their addresses (kernel.kptr_restrict=2) or list only
    /// functions. It must belong to exactly that kernel.
    #[arg(long, value_name = "PATH")]
    pub system_map: Option<PathBuf>,

    /// Replace an existing file
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}
