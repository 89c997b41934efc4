// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where ranges lie in a raw image.

use crate::{ImagePlan, WriteError};
use std::fmt;

/// How the ranges of a raw image follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Back to back: small, but without the list of ranges the addresses are lost.
    Concatenated,
    /// Each at the offset of its physical address; zeros, holes where possible,
    /// between and below them. The image begins at address 0.
    Padded,
}

impl Layout {
    /// The offset of each range's data.
    pub(super) fn offsets(self, plan: &ImagePlan) -> Result<Vec<u64>, WriteError> {
        let mut next: u64 = 0;
        plan.ranges()
            .iter()
            .map(|planned| match self {
                Self::Padded => Ok(planned.range.start().get()),
                Self::Concatenated => {
                    let offset = next;
                    next = next.checked_add(planned.range.len().get()).ok_or_else(|| {
                        WriteError::Unsupported("a raw image ends below 2^64 bytes".to_owned())
                    })?;
                    Ok(offset)
                }
            })
            .collect()
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Concatenated => "concatenated",
            Self::Padded => "padded",
        })
    }
}
