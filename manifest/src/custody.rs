// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who acquired an image, what for, and by which clocks. The header has the rest: the tool,
//! its command line, the machine, and when the run began.

use crate::Sha256Sum;
use serde::{Deserialize, Serialize};

/// Who ran the program, what for, and how far the clocks of the machine can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodyRecord {
    /// Who ran it.
    pub operator: Operator,
    /// The case, as `--case` gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// A remark, as `--note` gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The clocks, when the run began.
    pub clock: ClockRecord,
    /// The manifest of the image that was read, if an image was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_manifest: Option<SourceManifest>,
}

/// A person, and how the program knows the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The name.
    pub name: String,
    /// Where it is from.
    pub from: OperatorFrom,
}

/// Where the name of an operator is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorFrom {
    /// The option `--operator`.
    Option,
    /// The user who logged in, as the kernel recorded it (/proc/self/loginuid); sudo and su do
    /// not change it.
    Login,
    /// A variable of the environment: `SUDO_USER` or `LOGNAME`.
    Environment,
    /// The user that the process runs as.
    Process,
}

/// What is known of a machine's clocks, besides the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockRecord {
    /// Nanoseconds since the machine started, with the time that it was suspended
    /// (CLOCK_BOOTTIME).
    pub boottime_ns: u64,
    /// The machine's timezone, such as `Europe/Berlin`; null if it says none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub timezone: Option<String>,
    /// Whether the kernel takes its clock to be synchronised, by NTP or the like; null if it
    /// does not say.
    #[serde(deserialize_with = "Option::deserialize")]
    pub synchronised: Option<bool>,
    /// How far the clock is off at most, by the kernel's own estimate, in microseconds; null
    /// if the clock is not synchronised.
    #[serde(deserialize_with = "Option::deserialize")]
    pub max_error_us: Option<u64>,
}

/// The manifest of an image that another one was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceManifest {
    /// Its file name, without the folder.
    pub name: String,
    /// Its SHA-256.
    pub sha256: Sha256Sum,
    /// The SHA-256 of the last line of its custody file; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody_sha256: Option<Sha256Sum>,
}
