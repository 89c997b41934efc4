// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the running machine is spared.

use crate::notation::parse_length;
use crate::sink::Limits;
use clap::Args;
use linpmem_phys::PhysLen;
use std::num::NonZeroU32;

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
