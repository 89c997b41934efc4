// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an image is read.

use linpmem_encryption::Identities;
use linpmem_formats::{Budget, raw};
use std::path::PathBuf;

/// Which files an image consists of, and what reading it may cost.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What all files that a command opens may cost together.
    pub budget: Budget,
    /// The further volumes of a striped AFF4 image.
    pub volumes: Vec<PathBuf>,
    /// Where the bytes of a raw image belong, if its manifest does not tell.
    pub raw: Option<RawInput>,
    /// The private keys, if files are encrypted.
    pub identities: Identities,
}

/// Where the bytes of a raw image belong: such an image does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawInput {
    /// Offsets are addresses. The ranges that are memory are in a file; without one, the
    /// whole image is.
    Padded(Option<PathBuf>),
    /// The ranges in this file, one after the other.
    Concatenated(PathBuf),
}

impl RawInput {
    /// The layout that it stands for.
    #[must_use]
    pub const fn layout(&self) -> raw::Layout {
        match self {
            Self::Padded(_) => raw::Layout::Padded,
            Self::Concatenated(_) => raw::Layout::Concatenated,
        }
    }

    /// The file with the ranges.
    #[must_use]
    pub const fn ranges(&self) -> Option<&PathBuf> {
        match self {
            Self::Padded(ranges) => ranges.as_ref(),
            Self::Concatenated(ranges) => Some(ranges),
        }
    }
}
