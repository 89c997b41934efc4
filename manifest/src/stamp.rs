// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times in a manifest.

use serde::{Deserialize, Serialize};

/// A moment, on the wall clock and on the monotonic one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// UTC, RFC 3339, to the microsecond.
    pub utc: String,
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
}
