// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exit codes: one table, for every command.

use std::process::ExitCode;

/// How the program ended. `--help`, the man pages and docs/json.md show this table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// All that was asked for was done, and what was compared matches.
    Complete,
    /// It was not done, or not to the end; or what was compared differs.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// It was done, but some pages could not be read.
    Unreadable,
}

impl ExitStatus {
    /// The whole table.
    pub const ALL: [Self; 4] = [Self::Complete, Self::Failed, Self::Usage, Self::Unreadable];

    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreadable => 3,
        }
    }

    /// What the number means, as the documentation says it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Complete => "complete; verify and compare: everything matches",
            Self::Failed => "failed or interrupted; verify and compare: something differs",
            Self::Usage => "wrong usage; nothing was done",
            Self::Unreadable => {
                "complete, but some pages could not be read: the manifest lists them"
            }
        }
    }

    /// The status of a comparison.
    #[must_use]
    pub const fn of_comparison(matches: bool) -> Self {
        if matches {
            Self::Complete
        } else {
            Self::Failed
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
