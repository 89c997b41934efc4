// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of physical memory, written and read.

#![forbid(unsafe_code)]

mod output;
mod plan;
mod writer;

pub use output::{ImageOutput, OutputError};
pub use plan::{ImagePlan, MachineFacts, PlanError, PlannedRange};
pub use writer::{Chunk, ImageWriter, WriteError};
