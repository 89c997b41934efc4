// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the running machine is spared.

use clap::Args;
use linpmem_capture::Impact;
use linpmem_capture::sink::Limits;
use linpmem_phys::PhysLen;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// Bytes in a MiB.
const MIB: NonZeroU64 = NonZeroU64::new(1 << 20).unwrap();

/// How the running machine is spared.
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
    /// parents, and PID 1's. They are thawed at the end, however the run ends: a second
    /// process does it if need be, and also when nothing moves for 30 seconds. Network
    /// clients will stall, and a cluster manager may consider the node dead.
    #[arg(long, help_heading = "Impact on the machine")]
    pub freeze: bool,

    /// Stop after this many seconds
    ///
    /// As with SIGINT, the chunk in hand is finished, and OUTPUT.partial holds what was
    /// read so far, with a manifest.
    #[arg(long, value_name = "SECONDS", help_heading = "Impact on the machine")]
    pub timeout: Option<NonZeroU32>,

    /// Do not let the image grow beyond SIZE
    #[arg(long, value_name = "SIZE", help_heading = "Impact on the machine")]
    pub max_size: Option<PhysLen>,

    /// Leave SIZE free on the output disk; 0 fills it
    ///
    /// Checked before the run, and again as the image grows, since nobody knows how
    /// well memory compresses. A run that reaches the limit leaves OUTPUT.partial.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "32MiB",
        help_heading = "Impact on the machine"
    )]
    pub min_free: PhysLen,
}

impl ImpactArgs {
    /// What is meant.
    #[must_use]
    pub fn impact(&self) -> Impact {
        Impact {
            nice: self.nice,
            // A u32 of MiB is below 2^52.
            bytes_per_s: self.rate.map(|mib| MIB.saturating_mul(mib.into())),
            freeze: self.freeze,
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
