// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can prevent an image from arriving.

use std::time::Duration;

/// An image that could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No connection at the beginning.
    #[error("connecting to {address}: {reason}")]
    Connect {
        /// The receiver.
        address: String,
        /// The last reason.
        reason: String,
    },
    /// Somebody else answers.
    #[error(
        "{address} has another key than the one in the address: it is another receiver, a \
         receiver that was started anew without --key, or somebody in between. Nothing was sent; \
         copy the line that `linpmem-dump receive` printed last"
    )]
    WrongKey {
        /// The receiver.
        address: String,
    },
    /// The receiver says no.
    #[error("the receiver refuses the image: {0}")]
    Refused(String),
    /// No connection for a long time.
    #[error("{address} could not be reached for {} s ({reason})", .after.as_secs())]
    GaveUp {
        /// The receiver.
        address: String,
        /// For how long it was tried.
        after: Duration,
        /// The last reason.
        reason: String,
    },
    /// The receiver says what cannot be.
    #[error("the receiver contradicts itself: {0}")]
    Contradiction(&'static str),
    /// The receiver's receipt is for something else.
    #[error("the receiver's receipt is wrong: {0}")]
    Receipt(&'static str),
    /// The machine cannot.
    #[error("{action}: {reason}")]
    Machine {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        reason: String,
    },
}
