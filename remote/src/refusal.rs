// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the receiver says no.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why the receiver does not take an image, or no more of it. The text goes to the sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The reason, in words.
    pub reason: String,
    /// Whether the same may be taken in a moment.
    pub is_temporary: bool,
}

impl Refusal {
    /// A refusal for good.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_temporary: false,
        }
    }

    /// A refusal for now.
    #[must_use]
    pub fn for_now(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_temporary: true,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
