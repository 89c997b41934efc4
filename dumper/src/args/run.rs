// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a run that writes an image goes: threads, progress, its files, and how much
//! of the machine it may use.

#[cfg(feature = "sign")]
use super::SignRunArgs;
use super::{CustodyRunArgs, EncryptArgs, UsageError};
use clap::{Args, ValueEnum};
use linpmem_capture::Impact;
use linpmem_capture::sink::Limits;
use linpmem_phys::PhysLen;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// How an acquisition or a conversion runs.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Threads that hash and compress [default: by CPUs and compression]
    ///
    /// The default is one per CPU, as far as there is work for them and the run stays
    /// within 32 MiB: up to 16 that only hash on a processor without AVX2 or SHA
    /// instructions, otherwise 3 or 4; 5 with zstd:1, and 1 with zstd:9 and above. More
    /// threads take more memory.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How to show progress on stderr
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressStyle,

    /// Write stderr as JSON Lines: progress, warnings, the summary or an error
    ///
    /// See docs/json.md. `--progress none` leaves out progress.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub impact: ImpactArgs,

    /// Write the manifest to PATH; required with stdout [default: OUTPUT.manifest.jsonl]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    #[command(flatten)]
    pub encrypt: EncryptArgs,

    #[command(flatten)]
    pub custody: CustodyRunArgs,

    #[cfg(feature = "sign")]
    #[command(flatten)]
    pub sign: SignRunArgs,

    /// Replace OUTPUT and the files that belong to it
    #[arg(long)]
    pub force: bool,
}

impl RunArgs {
    /// Whether stderr is JSON Lines.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.progress.is_json(self.json)
    }
}

/// How to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, plain lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line every few seconds
    Plain,
    /// A line of JSON every second; implies --json
    Json,
    /// Nothing
    None,
}

impl ProgressStyle {
    /// Whether everything the program prints is JSON, if `json` is --json.
    #[must_use]
    pub fn is_json(self, json: bool) -> bool {
        json || self == Self::Json
    }

    /// The style to use, if `json` is --json: one stream cannot be JSON and a bar.
    ///
    /// # Errors
    /// If the two contradict each other.
    pub const fn with_json(self, json: bool) -> Result<Self, UsageError> {
        match (self, json) {
            (Self::Bar | Self::Plain, true) => Err(UsageError::ProgressIsNotJson),
            (Self::Auto, true) => Ok(Self::Json),
            (style, _) => Ok(style),
        }
    }
}

/// How much of the running machine a run may use.
#[derive(Clone, Debug, Args)]
pub struct ImpactArgs {
    /// Run at a lower priority: 1 to 19
    #[arg(long, value_name = "N", help_heading = "Impact on the machine",
          value_parser = clap::value_parser!(i32).range(1..=19))]
    pub nice: Option<i32>,

    /// Read at most this many MiB per second
    #[arg(long, value_name = "MIB/S", help_heading = "Impact on the machine")]
    pub rate: Option<NonZeroU32>,

    /// Freeze all other programs while memory is read
    ///
    /// Uses cgroup v2 and freezes every control group except this program's own, its
    /// parents, and PID 1's. They are thawed when the run ends, or after --freeze-limit; a
    /// second process thaws them if this one dies, or makes no progress for 30 seconds. If
    /// both are killed, thaw each group with `echo 0 > /sys/fs/cgroup/GROUP/cgroup.freeze`.
    /// Network clients will stall, and a cluster manager may consider the node dead.
    #[arg(long, help_heading = "Impact on the machine")]
    pub freeze: bool,

    /// Thaw them after this many seconds at the latest
    ///
    /// systemd kills services with a watchdog that is not fed, some of its own after three
    /// minutes. The acquisition goes on, with a warning.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "120",
        requires = "freeze",
        help_heading = "Impact on the machine"
    )]
    pub freeze_limit: NonZeroU32,

    /// Stop after this many seconds
    ///
    /// As with SIGINT, the chunk being read is completed, and OUTPUT.partial holds what
    /// was read so far, with a manifest.
    #[arg(long, value_name = "SECONDS", help_heading = "Impact on the machine")]
    pub timeout: Option<NonZeroU32>,

    /// Do not let the image grow beyond SIZE
    #[arg(long, value_name = "SIZE", help_heading = "Impact on the machine")]
    pub max_size: Option<PhysLen>,

    /// Leave SIZE free on the output disk; 0 fills it
    ///
    /// Checked before the run, and again as the image grows, since memory
    /// compresses better or worse than expected. A run that reaches the limit leaves
    /// OUTPUT.partial.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "32MiB",
        help_heading = "Impact on the machine"
    )]
    pub min_free: PhysLen,
}

impl ImpactArgs {
    /// The limits that these options set.
    #[must_use]
    pub fn impact(&self) -> Impact {
        Impact {
            nice: self.nice,
            // A u32 of MiB is below 2^52.
            bytes_per_s: self
                .rate
                .and_then(|mib| NonZeroU64::new(u64::from(mib.get()) << 20)),
            freeze: self
                .freeze
                .then(|| Duration::from_secs(self.freeze_limit.get().into())),
            timeout: self
                .timeout
                .map(|seconds| Duration::from_secs(seconds.get().into())),
            limits: Limits {
                max_size: self.max_size,
                min_free: self.min_free,
            },
        }
    }
}
