// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said on stderr.

use serde_json::json;
use std::io::Write;

/// How stderr is spoken to: in words, or in JSON Lines.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    /// Whether each line is a JSON object.
    pub is_json: bool,
}

impl Voice {
    /// Something the user should know; the program goes on.
    pub fn warn(self, message: &str) {
        if self.is_json {
            say(&json!({ "event": "warning", "message": message }).to_string());
        } else {
            say(&format!("linpmem-dump: warning: {message}"));
        }
    }

    /// Why the program failed.
    pub fn fail(self, message: &str) {
        if self.is_json {
            say(&json!({ "event": "error", "message": message }).to_string());
        } else {
            say(&format!("linpmem-dump: {message}"));
        }
    }
}

/// A line on stderr. One that is closed changes nothing in what was done.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
