// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can prevent an object from being stored or read.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A store that did not do what it was asked. No variant shows a secret: addresses are without
/// queries and user names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store says no.
    #[error("{action}: {host} answers {status}{}{hint}", explained(.message))]
    Refused {
        /// What was asked.
        action: String,
        /// Whom.
        host: String,
        /// The status, as `403 (AccessDenied)`.
        status: String,
        /// What it says about it; printable.
        message: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// It did not answer, or with passing errors alone, for a long time.
    #[error("{action}: {host} could not be reached for {} s ({reason})", .after.as_secs())]
    GaveUp {
        /// What was asked.
        action: String,
        /// Whom.
        host: String,
        /// For how long it was tried.
        after: Duration,
        /// The last reason; printable.
        reason: String,
    },
    /// Its answer makes no sense.
    #[error("{action}: {host} gives an answer that is not understood: {reason}")]
    Answer {
        /// What was asked.
        action: String,
        /// Whom.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// What it has is not what was sent.
    #[error("{object}: the store has something else than was sent ({reason})")]
    Differs {
        /// The object.
        object: String,
        /// What differs.
        reason: String,
    },
    /// There are no credentials.
    #[error("no credentials for {service}: {reason}")]
    NoCredentials {
        /// Whose.
        service: &'static str,
        /// Where they were looked for.
        reason: String,
    },
    /// A file on this machine cannot be used.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The image does not fit.
    #[error(
        "the image has more parts than the store takes: {most} of {part_bytes} bytes; give a larger \
         --part-size, which takes more memory"
    )]
    TooManyParts {
        /// How many it takes.
        most: u32,
        /// The size of each.
        part_bytes: u64,
    },
    /// The image does not fit into what a bundle has signed.
    #[error(
        "the image may get {bytes} bytes, and the bundle takes {most}: make one with `linpmem-dump \
         presign --size {}GiB`", .bytes.div_ceil(1 << 30)
    )]
    TooLarge {
        /// What the image may get.
        bytes: u64,
        /// What there is room for.
        most: u64,
    },
    /// The machine cannot.
    #[error("{action}: {reason}")]
    Machine {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        reason: String,
    },
    /// The run has ended for another reason.
    #[error("the run has ended")]
    Ended,
}

fn explained(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

impl StoreError {
    /// The system's `error` while doing `action`.
    pub(crate) fn machine(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Machine {
            action,
            reason: error.to_string(),
        }
    }

    /// The same, of any error.
    pub(crate) fn machine_says<E: ToString>(action: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Machine {
            action,
            reason: error.to_string(),
        }
    }
}

/// `text` from somewhere else, for a line of our own: one line, printable, and short.
pub(crate) fn shown(text: &str) -> String {
    const MOST_CHARACTERS: usize = 300;
    let spaced = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let escape = |letter: char| match letter.is_control() {
        true => '\u{fffd}',
        false => letter,
    };
    spaced.chars().take(MOST_CHARACTERS).map(escape).collect()
}
