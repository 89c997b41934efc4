// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages on stderr.

use crate::document::{Document, Tag};
use crate::exit_status::ExitStatus;
use crate::program::Program;
use crate::terminal::{Door, is_harmful, printable};
use serde::Serialize;
use std::error::Error;
use std::io::{self, ErrorKind, Write};

/// The stream for warnings, errors and progress, and for the summaries of runs whose
/// stdout may be memory: in words or as JSON Lines.
#[derive(Clone, Copy, Debug)]
pub struct Stderr {
    /// Whose it is.
    pub program: Program,
    /// Whether each line is a JSON object.
    pub is_json: bool,
}

/// A line of JSON Lines.
#[derive(Debug, Serialize)]
pub struct Event<'a, B> {
    /// What kind of line it is.
    pub event: &'static str,
    /// Its other fields.
    #[serde(flatten)]
    pub body: &'a B,
}

#[derive(Serialize)]
struct Message<'a> {
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
    /// Names the JSON that follows; words need no name.
    pub fn begin(self, format: &'static str) {
        if self.is_json {
            self.event("begin", &Tag::of(format));
        }
    }

    /// What the program does, or found out.
    pub fn note(self, message: &str) {
        if self.is_json {
            self.event("note", &Message { message });
        } else {
            self.words(&format!("{}: ", self.program.name), message);
        }
    }

    /// Something the user should know; the program goes on.
    pub fn warn(self, message: &str) {
        if self.is_json {
            self.event("warning", &Message { message });
        } else {
            self.words(&format!("{}: warning: ", self.program.name), message);
        }
    }

    /// Why the program ends with `status`.
    pub fn fail(self, message: &str, status: ExitStatus) {
        if self.is_json {
            let failure = Failure {
                tag: Tag::of(self.program.error_format),
                exit_code: status.code(),
                message,
            };
            self.event("error", &failure);
        } else {
            self.words(self.program.error_prefix, message);
        }
    }

    /// What a run did, when it is over.
    pub fn summary<D: Document>(self, document: &D) {
        if self.is_json {
            self.event("summary", &document.tagged());
            return;
        }
        let mut text = Vec::new();
        if let Err(error) = document.write_text(&mut text) {
            self.fail(&error.to_string(), ExitStatus::Failed);
        }
        for line in String::from_utf8_lossy(&text).lines().map(printable) {
            // Indented lines belong to the one above.
            if line.starts_with(' ') {
                self.line(&line);
            } else {
                self.line(&format!("{}: {line}", self.program.name));
            }
        }
    }

    /// A message for people, which may have names from an image or a machine in it.
    fn words(self, prefix: &str, message: &str) {
        self.line(&format!("{prefix}{}", harmless(message)));
    }

    /// A line of JSON.
    pub fn event<B: Serialize>(self, event: &'static str, body: &B) {
        match serde_json::to_string(&Event { event, body }) {
            Ok(line) => self.through(Door::for_json, &line),
            Err(error) => self.line(&format!("{}: writing JSON: {error}", self.program.name)),
        }
    }

    /// A line of words. If stderr is closed, the program goes on all the same, and its
    /// exit code still counts.
    pub fn line(self, line: &str) {
        self.through(Door::for_words, line);
    }

    /// A line through a door.
    fn through(self, door: impl FnOnce(Vec<u8>) -> Door<Vec<u8>>, line: &str) {
        let mut door = door(Vec::new());
        let _ = writeln!(door, "{line}");
        // In one piece, since other threads write as well.
        let _ = io::stderr().write_all(&door.into_inner());
    }

    /// Prints what the argument parser has to say: what is wrong, or the help that was
    /// asked for.
    pub fn explain(self, error: &clap::Error) -> ExitStatus {
        if !error.use_stderr() {
            // A closed stdout wants no help.
            let _ = error.print();
            return ExitStatus::Complete;
        }
        if self.is_json {
            let message = error.render().to_string();
            let message = message.trim_start_matches("error: ").trim_end();
            self.fail(message, ExitStatus::Usage);
        } else {
            // It quotes what was typed, or what a pattern of the shell matched.
            let message = error.render().to_string();
            if message.chars().any(|char| is_harmful(char) && char != '\n') {
                self.line(message.trim_end());
            } else {
                let _ = error.print();
            }
        }
        ExitStatus::Usage
    }
}

/// `message` without what a terminal would obey. Its further lines are indented, so that
/// none looks like one of the program's own.
fn harmless(message: &str) -> String {
    let lines: Vec<_> = message.lines().map(printable).collect();
    lines.join("\n  ")
}

/// Whether one of `causes` is that the reader of stdout has seen enough, as in
/// `linpmem-dump ranges | head`.
pub fn is_closed_stdout<'a>(causes: impl IntoIterator<Item = &'a (dyn Error + 'static)>) -> bool {
    causes
        .into_iter()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_messages_cannot_steer_the_terminal_or_forge_a_line() {
        assert_eq!(
            harmless("a\x1b[2J\u{9b}b\nlinpmem-dump: complete"),
            "a\u{fffd}[2J\u{fffd}b\n  linpmem-dump: complete"
        );
        assert_eq!(harmless("plain"), "plain");
    }
}
