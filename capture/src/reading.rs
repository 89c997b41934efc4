// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an image is read.

use linpmem_formats::Budget;
use std::path::PathBuf;

/// Which files an image consists of, and what reading it may cost.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What all files that a command opens may cost together.
    pub budget: Budget,
    /// The further volumes of a striped AFF4 image.
    pub volumes: Vec<PathBuf>,
}
