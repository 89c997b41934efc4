// SPDX-License-Identifier: MIT OR Apache-2.0
//! How programs are compiled: as they are released, or quickly.

use crate::arch::Arch;
use std::env;

/// The variable that, if it is set, has programs for another architecture compiled quickly, for
/// tests: with the profile of the tests, whose dependencies are compiled once for both.
pub const QUICK_VARIABLE: &str = "LINPMEM_QUICK_CROSS_BUILD";

/// How programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildKind {
    /// As they are released.
    Release,
    /// See [`QUICK_VARIABLE`].
    Quick,
}

impl BuildKind {
    /// How those for `arch` are compiled. The host's are always as released.
    #[must_use]
    pub fn of(arch: Arch) -> Self {
        match env::var_os(QUICK_VARIABLE) {
            Some(set) if arch != Arch::HOST && !set.is_empty() => Self::Quick,
            _ => Self::Release,
        }
    }

    /// What tells cargo.
    #[must_use]
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Release => &["--release"],
            Self::Quick => &[],
        }
    }

    /// The folder of the programs in that of their target.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Quick => "debug",
        }
    }
}
