// SPDX-License-Identifier: MIT OR Apache-2.0
//! How images are read.

use super::{IdentityArgs, Layout};
use clap::{Args, ValueEnum};
use linpmem_capture::{RawInput, Reading};
use linpmem_formats::Budget;
use linpmem_phys::PhysLen;
use std::ffi::OsString;
use std::path::PathBuf;

/// What reading an image may cost.
#[derive(Clone, Debug, Args)]
pub struct MemoryArgs {
    /// Refuse files that make this command need more memory than about SIZE
    ///
    /// A small file can describe more than any machine has memory for. What a file may make
    /// the command hold, and how long it may make it work, depends on SIZE and on how large
    /// the file really is: images of machines with many TiB need no more than the default.
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub memory_limit: PhysLen,
}

/// How an image is read.
#[derive(Clone, Debug, Default, Args)]
pub struct ReadingArgs {
    /// A further volume of a striped AFF4 image. Repeatable
    #[arg(long, value_name = "PATH")]
    pub volume: Vec<PathBuf>,

    #[command(flatten)]
    pub identity: IdentityArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// Where the bytes of a raw image belong.
#[derive(Clone, Debug, Default, Args)]
pub struct RawInputArgs {
    /// Layout of a raw IMAGE that has no manifest: padded or concatenated
    ///
    /// For raw images of other programs: QEMU's pmemsave, VMware's .vmem, dd, LiME's raw.
    /// padded: offsets are addresses. Without --input-ranges, all of IMAGE is one range from
    /// address 0. concatenated: IMAGE has the ranges of --input-ranges one after the other, and
    /// nothing between them. What the ranges have and IMAGE does not is listed as missing (exit
    /// code 3).
    #[arg(
        long,
        value_enum,
        value_name = "LAYOUT",
        help_heading = "Raw images of other programs"
    )]
    pub input_layout: Option<Layout>,

    /// The ranges of memory in a raw IMAGE, by address
    ///
    /// FILE is a copy of the machine's /proc/iomem, made as root (its System RAM counts), the
    /// output of `linpmem-dump ranges --json` on it or of `linpmem-dump info --json` about
    /// another image of it, a manifest, or has a range on each line: A-B or A+LENGTH. A .vmem of
    /// 5 GiB, without the hole below 4 GiB, has the lines 0x0+3GiB and 0x100000000+2GiB.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Raw images of other programs"
    )]
    #[arg(
        requires = "input_layout",
        required_if_eq("input_layout", "concatenated")
    )]
    pub input_ranges: Option<PathBuf>,
}

impl RawInputArgs {
    /// As the engine takes it.
    #[must_use]
    pub fn input(&self) -> Option<RawInput> {
        let ranges = self.input_ranges.clone();
        match (self.input_layout?, ranges) {
            (Layout::Padded, ranges) => Some(RawInput::Padded(ranges)),
            // The parser requires the ranges.
            (Layout::Concatenated, ranges) => ranges.map(RawInput::Concatenated),
        }
    }

    /// The options as they were given.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let layout = self
            .input_layout
            .and_then(|layout| layout.to_possible_value());
        let mut words: Vec<OsString> = layout
            .map(|layout| format!("--input-layout={}", layout.get_name()).into())
            .into_iter()
            .collect();
        if let Some(ranges) = &self.input_ranges {
            words.extend([OsString::from("--input-ranges"), ranges.into()]);
        }
        words
    }

    /// `reading`, and where the bytes of a raw image belong.
    #[must_use]
    pub fn with(&self, reading: Reading) -> Reading {
        Reading {
            raw: self.input(),
            ..reading
        }
    }
}

impl Default for MemoryArgs {
    fn default() -> Self {
        Self {
            memory_limit: Budget::DEFAULT_LIMIT,
        }
    }
}

impl MemoryArgs {
    /// The budget of the command.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget::new(self.memory_limit)
    }
}

impl ReadingArgs {
    /// As the engine takes it. Every call makes a budget of its own.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading {
            budget: self.memory.budget(),
            volumes: self.volume.clone(),
            raw: None,
            identities: self.identity.identities(),
        }
    }
}
