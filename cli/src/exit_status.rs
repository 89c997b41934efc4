// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exit codes: one table, for every program and command.

use std::process::ExitCode;

/// How a program ended. `--help`, the manual pages and docs/json.md show this table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// All that was asked for was done, and what was compared matches.
    Complete,
    /// It was not done, or not to the end; or the answer is no.
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
            Self::Failed => {
                "failed or interrupted; verify and compare: something differs; check: the image \
                 cannot be analysed; vtop: not mapped; cr3: no such process"
            }
            Self::Usage => "wrong usage; nothing was done",
            Self::Unreadable => {
                "complete, but some pages could not be read, the image was cut off, or what is in \
                 it contradicts itself: the manifest, the output or stderr says where"
            }
        }
    }

    /// The status of a question whose answer is yes or no.
    #[must_use]
    pub const fn of_answer(is_yes: bool) -> Self {
        if is_yes { Self::Complete } else { Self::Failed }
    }

    /// What `--help` says of all of them.
    #[must_use]
    pub fn help() -> String {
        let line = |status: Self| format!("\n  {}  {}", status.code(), status.meaning());
        format!("Exit codes:{}", Self::ALL.map(line).concat())
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
