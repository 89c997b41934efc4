// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a connection to a receiver ends early.

use crate::refusal::Refusal;
use std::io;

/// How a connection ended without a receipt.
pub(crate) enum Broken {
    /// It may come again.
    Line(io::Error),
    /// The sender was told.
    Refused(Refusal),
    /// The same run has another connection.
    Superseded,
    /// This side ends.
    Ended,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Line(error)
    }
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
