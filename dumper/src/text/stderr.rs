// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages on stderr.

use super::document::{Document, Event, Tag};
use crate::exit_status::ExitStatus;
use serde::Serialize;
use std::io::Write;

/// The stream for warnings, errors and progress, and for the summaries of runs whose
/// stdout may be the image: in words or as JSON Lines.
#[derive(Clone, Copy, Debug)]
pub struct Stderr {
    /// Whether each line is a JSON object.
    pub is_json: bool,
}

#[derive(Serialize)]
struct Warning<'a> {
    message: &'a str,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(flatten)]
    tag: Tag,
    exit_code: u8,
    message: &'a str,
}

impl Stderr {
    /// Writes the tag of the JSON that follows. Plain text has no tag.
    pub fn begin(self, format: &'static str) {
        if self.is_json {
            event("begin", &Tag::of(format));
        }
    }

    /// Something the user should know; the program continues.
    pub fn warn(self, message: &str) {
        if self.is_json {
            event("warning", &Warning { message });
        } else {
            say(&format!("linpmem-dump: warning: {message}"));
        }
    }

    /// Why the program ends with `status`.
    pub fn fail(self, message: &str, status: ExitStatus) {
        if self.is_json {
            let failure = Failure {
                tag: Tag::of("linpmem-dump error"),
                exit_code: status.code(),
                message,
            };
            event("error", &failure);
        } else {
            say(&format!("linpmem-dump: {message}"));
        }
    }

    /// What a run did, when it is over.
    pub fn summary<D: Document>(self, document: &D) {
        if self.is_json {
            event("summary", &document.tagged());
            return;
        }
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = document.write_text(&mut text);
        for line in String::from_utf8_lossy(&text).lines() {
            // Indented lines belong to the one above.
            let name = if line.starts_with(' ') {
                ""
            } else {
                "linpmem-dump: "
            };
            say(&format!("{name}{line}"));
        }
    }
}

/// A line of JSON.
pub(super) fn event<B: Serialize>(event: &'static str, body: &B) {
    match serde_json::to_string(&Event { event, body }) {
        Ok(line) => say(&line),
        Err(error) => say(&format!("linpmem-dump: writing JSON: {error}")),
    }
}

/// A line on stderr. If stderr is closed, the run continues nevertheless.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
