// SPDX-License-Identifier: MIT OR Apache-2.0
//! How images are read.

use clap::Args;
use linpmem_capture::Reading;
use linpmem_formats::Budget;
use linpmem_phys::PhysLen;
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
    pub memory: MemoryArgs,
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
        }
    }
}
