// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image that a run writes: its format, compression, artifacts and hashes.

use clap::{Args, ValueEnum};
use linpmem_capture::{ArtifactsSpec, CaseDetails, HashSpec};
use linpmem_formats::{Codec, CodecError, aff4};
use linpmem_manifest::FurtherHash;
use linpmem_phys::PhysLen;
use std::path::PathBuf;
use std::str::FromStr;

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
    /// opens all of them directly. auto briefly measures the processors and the disk, and
    /// picks what will finish first. By default the file extension decides: .zst, .lz4 or
    /// .sz. Some formats compress internally instead: AFF4 with snappy (default), lz4,
    /// zlib or none; kdump with zlib (default), snappy, zstd or none; AVML with snappy.
    #[arg(long, value_name = "CODEC")]
    pub compress: Option<CompressSpec>,

    #[command(flatten)]
    pub artifacts: ArtifactsArgs,

    #[command(flatten)]
    pub case: CaseArgs,

    #[command(flatten)]
    pub linear: LinearArgs,

    #[command(flatten)]
    pub hashes: HashArgs,
}

/// Format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ELF64 core file
    Elf,
    /// Memory only, without headers
    Raw,
    /// Advanced Forensic Format 4, version 1.0
    Aff4,
    /// LiME
    Lime,
    /// Kdump-compressed, as a flattened stream, for crash, drgn and makedumpfile
    Kdump,
    /// AVML's compressed LiME; Volatility 3 hangs on memory that does not compress
    Avml,
}

/// Layout of the ranges in a raw image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Back to back; only the manifest knows the addresses
    Concatenated,
    /// Each at the offset of its address, with holes between them
    Padded,
}

/// The argument of --compress. Whether the format has that compression is checked with
/// the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompressSpec {
    /// The one that will finish first.
    Auto,
    /// By its name: at least one format has it.
    Named(String),
}

impl FromStr for CompressSpec {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        if text.parse::<aff4::Compression>().is_err() {
            text.parse::<Codec>()?;
        }
        Ok(Self::Named(text.to_owned()))
    }
}

/// What is collected with the memory.
#[derive(Clone, Debug, Default, Args)]
pub struct ArtifactsArgs {
    /// Collect memory only, no kernel artifacts
    ///
    /// By default the kernel's own description of itself is collected: symbols, types,
    /// modules, memory map, command line and so on, a few MiB in all. That is done when
    /// memory has been read; for an image in a pipe, before. ELF and AFF4 images hold it; for
    /// other formats it goes to OUTPUT.artifacts.tar.zst.
    /// `linpmem-dump ls` lists it.
    #[arg(long, help_heading = "Artifacts", conflicts_with = "bundle")]
    pub no_artifacts: bool,

    /// Require the artifacts to be inside the image (ELF, AFF4)
    ///
    /// They are collected before memory is read, and the run fails if that is not possible.
    #[arg(long, help_heading = "Artifacts")]
    pub bundle: bool,

    /// Collect FILE as well. Repeatable; accepts a quoted glob
    ///
    /// As in --add '/etc/*.conf': *, ? and [a-z] match within one path component. A FILE that
    /// cannot be read ends the run before it begins, so all artifacts are collected before
    /// memory is read; what a GLOB matched is listed as missing.
    #[arg(long, value_name = "FILE|GLOB", help_heading = "Artifacts")]
    pub add: Vec<PathBuf>,

    /// Collect no file that a glob matches and that is larger than SIZE
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "256MiB",
        requires = "add",
        help_heading = "Artifacts"
    )]
    pub add_limit: PhysLen,
}

/// What an AFF4 image says about the case.
#[derive(Clone, Debug, Default, Args)]
pub struct CaseArgs {
    /// Case name
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub case_name: Option<String>,

    /// Examiner's name
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub examiner: Option<String>,

    /// Free-text notes
    #[arg(long, value_name = "TEXT", help_heading = "AFF4")]
    pub notes: Option<String>,
}

/// The hash over all addresses.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct LinearArgs {
    /// Also store the SHA-256 over all addresses, holes included
    ///
    /// For programs that check an image against one hash of its whole address space. A
    /// single thread has to compute it from front to back, which can take as long as
    /// everything else together. Without it, the hashes of the chunks, of the map and of
    /// the image still cover every byte.
    #[arg(long, help_heading = "AFF4")]
    pub linear_hash: bool,
}

impl ArtifactsArgs {
    /// The artifacts to collect.
    #[must_use]
    pub fn spec(&self) -> ArtifactsSpec {
        ArtifactsSpec {
            kernel: !self.no_artifacts,
            inside_image: self.bundle,
            add: self.add.clone(),
            add_reader: None,
            add_limit: self.add_limit,
            swap: false,
        }
    }
}

impl CaseArgs {
    /// Whether there is any detail.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.case_name.is_some() || self.examiner.is_some() || self.notes.is_some()
    }

    /// The details for the image.
    #[must_use]
    pub fn details(&self) -> CaseDetails {
        CaseDetails {
            name: self.case_name.clone(),
            examiner: self.examiner.clone(),
            notes: self.notes.clone(),
        }
    }
}

/// Hashes of OUTPUT.
#[derive(Clone, Debug, Default, Args)]
pub struct HashArgs {
    /// Compute further hashes of OUTPUT: md5, sha1, sha512, blake2b, blake3
    ///
    /// Comma-separated or repeated. They are recorded in the manifest, and each takes a
    /// thread. AFF4 images also record them (except BLAKE3) over all addresses.
    #[arg(long, value_name = "HASH,…", value_enum, value_delimiter = ',')]
    pub hash: Vec<HashName>,

    /// Do not compute the SHA-256 of OUTPUT as a whole
    ///
    /// A single thread has to compute it from front to back. Nobody waits for it while
    /// memory is read: what it could not take is read back from the disk afterwards, which
    /// can take as long again. The hashes of the chunks and of everything outside them still
    /// cover every byte. No OUTPUT.sha256 is written.
    #[arg(long)]
    pub no_file_hash: bool,

    /// Read all of OUTPUT back from the disk, and compare it with what was in memory
    ///
    /// Without it, only what the hashes of the file could not take in time is read back.
    /// The file is read past the page cache where its file system can do that. Its hashes
    /// are then computed from what the disk has; a chunk that differs from what was hashed in
    /// memory ends the run with an error.
    #[arg(long)]
    pub read_back: bool,
}

/// An argument of --hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashName(pub FurtherHash);

impl ValueEnum for HashName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [HashName; 5] = {
            let [a, b, c, d, e] = FurtherHash::ALL;
            [
                HashName(a),
                HashName(b),
                HashName(c),
                HashName(d),
                HashName(e),
            ]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

impl HashArgs {
    /// The hashes to compute, each once, in the order of the manifest.
    #[must_use]
    pub fn spec(&self) -> HashSpec {
        let mut further: Vec<_> = self.hash.iter().map(|name| name.0).collect();
        further.sort_unstable();
        further.dedup();
        HashSpec {
            file_sha256: !self.no_file_hash,
            further,
            read_back: self.read_back,
        }
    }
}
